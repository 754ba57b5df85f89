// The lines on the wire, in a ring of at most so many.

import { linesChanged } from "./store.js";

const MAX_LINES = 5_000;
const ring = new Array(MAX_LINES);
let first = 0;
let end = 0;

/** The lines that are there: numbers of the oldest and, plus one, of the newest, and what has a number; `still` ones stay as they are. */
export function lines(still = false) {
    const from = still ? ring.slice() : ring;
    return { first, end, line: (number) => from[number % MAX_LINES] };
}

/** `logs` of a message of the push: "Send: …", "Recv: …". */
export function add(logs, at) {
    if (!logs.length) return;
    for (const text of logs) {
        const kind = text.startsWith("Send: ") ? "sent" : text.startsWith("Recv: ") ? "received" : "note";
        ring[end % MAX_LINES] = { at, kind, text: kind === "note" ? text : text.slice(6) };
        end += 1;
    }
    first = Math.max(first, end - MAX_LINES);
    linesChanged.value += 1;
}

export function clear() {
    first = end;
    linesChanged.value += 1;
}
