// The chart of temperatures; uPlot is loaded when the first one is drawn.

import { html, useEffect, useRef, useSignal, useSignalEffect } from "../vendor/preact.js";
import { awaySince, temperaturesChanged } from "./store.js";
import { columns, times } from "./temperatures.js";
import { clock, exactClock, heaterName, tenths } from "./words.js";

const library = () => import("../vendor/uplot.js").then((module) => module.default);
const dark = matchMedia("(prefers-color-scheme: dark)");
const HEIGHT = 15;
/** Seconds that the chart is wide at least. */
const SHORTEST = 60;

/** A heater's colour is that of its name beside the chart. */
export const colorOf = (id) => (id.startsWith("tool") ? ["--hot", "--tool1", "--tool2", "--tool3"][id.slice(4) % 4] : `--${id}`);

/** `span` in seconds, of the newest that are shown. */
export function Chart({ span }) {
    const box = useRef(null);
    const chart = useRef(null);
    const told = useSignal("");
    const ready = useSignal(0);

    useEffect(() => {
        let gone = false;
        let resize = null;
        const draw = async () => {
            // What has not come before the server went comes when it is back.
            const UPlot = await library().catch(() => null);
            if (gone || !UPlot) return;
            chart.current?.destroy();
            const place = box.current;
            const size = () => ({ width: Math.max(200, place.clientWidth), height: HEIGHT * rem() });
            chart.current = new UPlot({ ...look(told), ...size(), series: seriesOf() }, dataOf(span), place);
            chart.current.heaters = [...columns.keys()].join();
            const letters = rem();
            resize = new ResizeObserver(() => {
                // On a screen with other letters all of it is drawn anew.
                if (rem() === letters) chart.current?.setSize(size());
                else again();
            });
            resize.observe(place);
        };
        const again = () => (ready.value += 1);
        draw();
        dark.addEventListener("change", again);
        return () => {
            gone = true;
            dark.removeEventListener("change", again);
            resize?.disconnect();
            chart.current?.destroy();
            chart.current = null;
        };
    }, [span, ready.value, awaySince.value]);

    useSignalEffect(() => {
        temperaturesChanged.value;
        const drawn = chart.current;
        if (!drawn || document.hidden) return;
        // A heater that was not there before is a line of its own.
        if (drawn.heaters !== [...columns.keys()].join()) ready.value += 1;
        else drawn.setData(dataOf(span));
    });

    return html`
        <figure class="chart">
            <div ref=${box} role="img" aria-label="How the temperatures were; the figures of now stand above"></div>
            <figcaption class="small soft number">${told.value || "\u00a0"}</figcaption>
        </figure>
    `;
}

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize);

function seriesOf() {
    const lines = [{}];
    for (const id of columns.keys()) {
        const stroke = css(colorOf(id)) || css("--hot");
        lines.push({ stroke, width: 2, points: { show: false } });
        lines.push({ stroke, width: 1.5, dash: [6, 5], points: { show: false } });
    }
    return lines;
}

/** Of the last `span` seconds; a target of 0 is none. */
function dataOf(span) {
    const end = times.length;
    const oldest = end ? times[end - 1] - span : 0;
    let from = 0;
    for (let high = end; from < high; ) {
        const middle = (from + high) >> 1;
        if (times[middle] < oldest) from = middle + 1;
        else high = middle;
    }
    const data = [times.slice(from)];
    for (const { actual, target } of columns.values()) {
        data.push(actual.slice(from), target.slice(from).map((degrees) => degrees || null));
    }
    return data;
}

/** Of the times themselves: of less than two uPlot tells others. What has just begun is not drawn as if it were an hour. */
function rangeOf({ data: [at] }) {
    const newest = at.at(-1) ?? Date.now() / 1000;
    return [Math.min(at[0] ?? newest, newest - SHORTEST), newest];
}

function look(told) {
    const axis = {
        stroke: css("--soft"),
        font: `${0.75 * rem()}px system-ui, sans-serif`,
        grid: { stroke: css("--line"), width: 1 },
        ticks: { show: false },
    };
    return {
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 7 } },
        // On the right for half of the last time of day.
        padding: [0.6 * rem(), 2.4 * rem(), 0, 0],
        scales: {
            x: { range: rangeOf },
            y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(50, (high ?? 0) * 1.08)] },
        },
        axes: [
            { ...axis, values: (_, splits) => splits.map(splits[1] - splits[0] < 60 ? exactClock : clock), space: 6.5 * rem(), size: 2 * rem() },
            { ...axis, size: 2.6 * rem(), values: (_, splits) => splits.map((degrees) => `${degrees}°`) },
        ],
        hooks: {
            setCursor: [
                ({ cursor, data }) => {
                    const at = data[0][cursor.idx];
                    told.value = at === undefined || cursor.left < 0 ? "" : [exactClock(at), ...readings(data, cursor.idx)].join(" · ");
                },
            ],
        },
    };
}

const readings = (data, at) =>
    [...columns.keys()].flatMap((id, place) => {
        const actual = data[1 + 2 * place]?.[at];
        return actual === null || actual === undefined ? [] : [`${heaterName(id, columns.has("tool1"))} ${tenths(actual)}°`];
    });
