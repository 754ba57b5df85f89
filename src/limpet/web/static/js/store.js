// What the page knows, as signals. Only `live.js` and `people.js` write here; the panels read.

import { computed, signal } from "../vendor/preact.js";

export { batch } from "../vendor/preact.js";

/** Sets a signal only when it says something else, so that nothing is drawn for nothing. */
export function keep(kept, value) {
    if (JSON.stringify(kept.peek()) !== JSON.stringify(value)) kept.value = value;
}

/** Who we are: `{name, permissions, groups, needs}`; null when nobody; undefined as long as it is not known. */
export const me = signal(undefined);
/** Whether the first user is still to be set up. */
export const setupNeeded = signal(false);
/** A sentence for the login: why one is asked to. */
export const loginNote = signal("");
/** The server has gone: since when, in milliseconds since the epoch, else 0. */
export const awaySince = signal(0);

export const may = (permission) => {
    const permissions = me.value?.permissions ?? [];
    return permissions.includes("ADMIN") || permissions.includes(permission);
};

/** All printers, as `/api/limpet/printers` tells them; null before it has. */
export const printers = signal(null);
/** `current` and `options` of `/api/connection`; null before it has answered. */
export const connection = signal(null);
/** What each port is, as `/api/limpet/ports` tells it. */
export const ports = signal([]);

/** The last `state`, `job`, `progress`, ... of the push. */
export const state = signal({ text: "", flags: {}, error: "" });
export const job = signal({ file: {} });
export const progress = signal({});
export const offsets = signal({});
export const height = signal(null);
/** How the last print ended, as `lastPrint` of `/api/job` tells it; null when there was none. */
export const lastPrint = signal(null);
/** Heater -> `{actual, target}`, as last reported. */
export const heat = signal({});
/** The question that the printer asks: `{text, choices}`, or null. */
export const prompt = signal(null);
/** Counts whenever the files have changed. */
export const filesChanged = signal(0);
/** Counts whenever settings, profiles or keys have changed elsewhere. */
export const settingsChanged = signal(0);
/** Counts with every new temperature; the figures themselves are in `temperatures.js`. */
export const temperaturesChanged = signal(0);
/** Counts with every batch of lines; the lines themselves are in `lines.js`. */
export const linesChanged = signal(0);
/** The printer's profile, null before it is known. */
export const profile = signal(null);
/** What `/api/settings` has, null before it is known or when it may not be read. */
export const settings = signal(null);

export const flags = computed(() => state.value.flags ?? {});
export const isOperational = computed(() => Boolean(flags.value.operational));
export const isPrinting = computed(() => {
    const { printing, paused, pausing, cancelling, resuming, finishing } = flags.value;
    return Boolean(printing || paused || pausing || cancelling || resuming || finishing);
});
/** How far the print is, 0 to 1; null when nobody knows. */
export const fraction = computed(() => {
    const percent = progress.value.completion;
    return isPrinting.value && Number.isFinite(percent) ? Math.min(1, Math.max(0, percent / 100)) : null;
});

/** What the page says in passing: `{id, text, kind}`. */
export const notes = signal([]);
let lastNote = 0;

/** Tell something for a while; `kind` is "good" or "bad". */
export function note(text, kind = "good") {
    const id = ++lastNote;
    // What is said again is there once.
    notes.value = [...notes.value.filter((each) => each.text !== text).slice(-3), { id, text, kind }];
    setTimeout(() => dismiss(id), kind === "bad" ? 12_000 : 4_000);
}

export function dismiss(id) {
    notes.value = notes.value.filter((each) => each.id !== id);
}
