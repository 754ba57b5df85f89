// Numbers, times and sizes, as the reader is used to them.

const number = (options) => {
    const format = new Intl.NumberFormat(undefined, options);
    return (value) => (Number.isFinite(value) ? format.format(value) : "–");
};

export const whole = number({ maximumFractionDigits: 0 });
export const tenths = number({ minimumFractionDigits: 1, maximumFractionDigits: 1 });
export const plain = number({ maximumFractionDigits: 3 });
export const percent = number({ style: "percent", maximumFractionDigits: 0 });
export const finePercent = number({ style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** What somebody has typed, with a point or a comma; NaN for what is no decimal number. */
export const numberOf = (text) => (/^\s*[-+]?[\d.,]+\s*$/.test(text) ? Number(text.replace(",", ".")) : NaN);

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** Bytes, in the largest unit that leaves something before the point. */
export function size(bytes) {
    if (!Number.isFinite(bytes)) return "–";
    let value = bytes;
    let unit = 0;
    while (value >= 1000 && unit < UNITS.length - 1) {
        value /= 1000;
        unit += 1;
    }
    return `${(value < 10 && unit ? tenths : whole)(value)} ${UNITS[unit]}`;
}

/** Seconds as hours and minutes; short ones with seconds. */
export function duration(seconds) {
    if (!Number.isFinite(seconds)) return "–";
    const all = Math.max(0, Math.round(seconds));
    const [hours, minutes] = [Math.floor(all / 3600), Math.floor((all % 3600) / 60)];
    if (hours >= 24) return `${whole(Math.floor(hours / 24))} d ${hours % 24} h`;
    if (hours) return `${hours} h ${String(minutes).padStart(2, "0")} min`;
    return all >= 600 ? `${minutes} min` : minutes ? `${minutes} min ${String(all % 60).padStart(2, "0")} s` : `${all} s`;
}

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const exactFormat = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit", second: "2-digit" });
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "numeric", minute: "2-digit" });
const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** Seconds since the epoch as a time of day, with the day when it is not today. */
export function clock(at) {
    const date = new Date(at * 1000);
    const today = date.toDateString() === new Date().toDateString();
    return (today ? clockFormat : dayFormat).format(date);
}

export const exactClock = (at) => exactFormat.format(new Date(at * 1000));
export const date = (at) => (Number.isFinite(at) ? dateFormat.format(new Date(at * 1000)) : "–");

const ago = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const STEPS = [["second", 60], ["minute", 60], ["hour", 24], ["day", 30], ["month", 12], ["year", Infinity]];

/** Seconds since the epoch as "5 minutes ago". */
export function since(at) {
    if (!Number.isFinite(at)) return "–";
    let value = at - Date.now() / 1000;
    for (const [unit, many] of STEPS) {
        if (Math.abs(value) < many) return ago.format(Math.round(value), unit);
        value /= many;
    }
    return "–";
}

/** `tool0` as a person calls it; `several` when there are more tools. */
export function heaterName(id, several) {
    if (id === "bed") return "Bed";
    if (id === "chamber") return "Chamber";
    const [, tool] = id.match(/^tool(\d+)$/) ?? [];
    return tool === undefined ? id : several ? `Nozzle ${Number(tool) + 1}` : "Nozzle";
}
