// The temperatures of the last hours, as columns that the chart draws. Old ones are thinned out, so that there is a limit.

import { heat, temperaturesChanged } from "./store.js";

const MAX_POINTS = 6_000;

/** Seconds since the epoch. */
export const times = [];
/** Heater -> `{actual: [], target: []}`, each as long as `times`. */
export const columns = new Map();

export function clear() {
    times.length = 0;
    columns.clear();
    heat.value = {};
    temperaturesChanged.value += 1;
}

/** `temps` of a message of the push: `{time, tool0: {actual, target}, bed: ...}`. */
export function add(temps) {
    let last = null;
    for (const { time, ...heaters } of temps) {
        // What came before the connection to the server was lost comes again with its history.
        if (times.length && time < times[times.length - 1]) continue;
        for (const id of Object.keys(heaters)) {
            if (!columns.has(id)) columns.set(id, { actual: times.map(() => null), target: times.map(() => null) });
        }
        times.push(time);
        for (const [id, column] of columns) {
            column.actual.push(heaters[id]?.actual ?? null);
            column.target.push(heaters[id]?.target ?? null);
        }
        last = heaters;
    }
    if (!last) return;
    if (times.length > MAX_POINTS) thinOut();
    heat.value = last;
    temperaturesChanged.value += 1;
}

/** Of the older half every second point goes. */
function thinOut() {
    const half = times.length >> 1;
    for (const column of [times, ...[...columns.values()].flatMap(({ actual, target }) => [actual, target])]) {
        let kept = 0;
        for (let at = 0; at < column.length; at++) {
            if (at >= half || at % 2 === 0) column[kept++] = column[at];
        }
        column.length = kept;
    }
}
