// The lines on the wire as they come, and G-code to the printer. Only the lines that are seen are in the document.

import { html, useEffect, useLayoutEffect, useRef, useSignal } from "../../vendor/preact.js";
import { post } from "../api.js";
import { copy } from "../clipboard.js";
import { clear, lines } from "../lines.js";
import { wantLines } from "../live.js";
import { attempt, Button, Card, Switch } from "../parts.js";
import { isOperational, linesChanged, may, settings } from "../store.js";
import { whole } from "../words.js";

const MARGIN = 20;
const MAX_HISTORY = 50;
const PREFIX = { sent: "Send: ", received: "Recv: ", note: "" };
const history = [];

export function Terminal() {
    const filters = useSignal(new Set());
    const text = useSignal("");
    const follow = useSignal(true);
    const frozen = useSignal(null);
    useEffect(wantLines, []);
    linesChanged.value;

    const now = frozen.value ?? lines();
    const { rows, gone } = useRows(now, filters.value, text.value, settings.value?.terminalFilters ?? []);
    const pause = () => (frozen.value = frozen.value ? null : lines(true));
    const empty = () => {
        clear();
        if (frozen.value) frozen.value = lines(true);
    };
    const toggle = (regex) => {
        const next = new Set(filters.value);
        if (!next.delete(regex)) next.add(regex);
        filters.value = next;
    };
    const copyAll = () => copy(rows.map((number) => shownText(now.line(number))).join("\n"));
    return html`
        <${Card}
            title="Terminal"
            kind="terminal"
            actions=${html`
                <${Button} small icon=${frozen.value ? "play" : "pause"} aria-pressed=${Boolean(frozen.value)} onClick=${pause}>${frozen.value ? "Go on" : "Pause"}<//>
                <${Button} small icon="copy" onClick=${() => attempt(copyAll, "The lines are in the clipboard.")}>Copy<//>
                <${Button} small icon="trash" onClick=${empty}>Clear<//>
            `}
        >
            <details class="filters">
                <summary>Filter${filters.value.size || text.value ? " (on)" : ""}</summary>
                <div class="pair">
                    <div class="field">
                        <label for="only">Only lines with</label>
                        <input id="only" type="search" spellcheck=${false} value=${text.value} onInput=${({ currentTarget }) => (text.value = currentTarget.value)} />
                    </div>
                </div>
                ${(settings.value?.terminalFilters ?? []).map(
                    ({ name, regex }) => html`<${Switch} key=${regex} label=${name} on=${filters.value.has(regex)} onChange=${() => toggle(regex)} />`,
                )}
            </details>
            <${Lines} rows=${rows} gone=${gone} newest=${now.end} line=${now.line} follow=${follow} />
            <div class="row between">
                <${Switch} label="Keep to the newest line" value=${follow} />
                <p class="soft small number">${whole(rows.length)} lines</p>
            </div>
            ${may("CONTROL") && html`<${Prompt} />`}
        <//>
    `;
}

const shownText = ({ kind, text }) => PREFIX[kind] + text;

/** The numbers of the lines that pass the filters, and how many are gone. Only new lines are looked at, unless the filters are other ones. */
function useRows({ first, end, line }, filters, text, offered) {
    const kept = useRef({ key: null, rows: [], seen: 0, gone: 0 }).current;
    const key = JSON.stringify([[...filters], text]);
    if (kept.key !== key) Object.assign(kept, { key, rows: [], seen: first });
    const hidden = offered.filter(({ regex }) => filters.has(regex)).map(({ regex }) => new RegExp(regex));
    const wanted = text.toLowerCase();
    for (let number = Math.max(kept.seen, first); number < end; number++) {
        const shown = shownText(line(number));
        if (shown.toLowerCase().includes(wanted) && !hidden.some((each) => each.test(shown))) kept.rows.push(number);
    }
    kept.seen = Math.max(kept.seen, end);
    let gone = 0;
    while (gone < kept.rows.length && kept.rows[gone] < first) gone += 1;
    if (gone) kept.rows.splice(0, gone);
    kept.gone += gone;
    return kept;
}

/** `rows` grows in place: `newest` tells that there are more. */
function Lines({ rows, gone, line, follow }) {
    const box = useRef(null);
    const wereGone = useRef(gone);
    const view = useSignal({ top: 0, rows: 30, height: 20 });
    const measure = () => {
        if (!box.current) return;
        const { scrollTop, clientHeight } = box.current;
        const height = parseFloat(getComputedStyle(box.current).lineHeight);
        const next = { top: Math.floor(scrollTop / height), rows: Math.ceil(clientHeight / height), height };
        const { top, rows: many, height: before } = view.peek();
        if (next.top !== top || next.rows !== many || height !== before) view.value = next;
    };
    useEffect(() => {
        const watch = new ResizeObserver(measure);
        watch.observe(box.current);
        return () => watch.disconnect();
    }, []);
    useLayoutEffect(() => {
        if (follow.value) box.current.scrollTop = box.current.scrollHeight;
        else if (gone !== wereGone.current) {
            // Whoever reads keeps the lines that are read.
            box.current.scrollTop -= (gone - wereGone.current) * view.peek().height;
            measure();
        }
        wereGone.current = gone;
    });
    const scrolled = () => {
        if (!box.current) return;
        const { scrollTop, clientHeight, scrollHeight } = box.current;
        // Whoever scrolls up wants to read, and whoever scrolls to the end wants the newest.
        const atEnd = scrollTop + clientHeight > scrollHeight - 2 * view.peek().height;
        if (!atEnd && follow.peek()) follow.value = false;
        else if (atEnd && !follow.peek()) follow.value = true;
        measure();
    };
    const { top, rows: many, height } = view.value;
    const from = Math.max(0, Math.min(top, rows.length - many) - MARGIN);
    const until = Math.min(rows.length, from + many + 2 * MARGIN);
    return html`
        <div class="lines" ref=${box} tabindex="0" role="log" aria-live="off" aria-label="Lines on the wire" onScroll=${scrolled}>
            <div class="all" style=${{ height: `${rows.length * height}px` }}>
                <div class="seen" style=${{ transform: `translateY(${from * height}px)` }}>
                    ${rows.slice(from, until).map((number) => {
                        const { kind, text } = line(number);
                        return html`<div key=${number} class=${kind}><span class="way">${kind === "sent" ? ">" : kind === "received" ? "<" : "•"}</span>${text}</div>`;
                    })}
                </div>
            </div>
        </div>
    `;
}

/** Arrow up and down go through what was sent before. */
function Prompt() {
    const typed = useSignal("");
    const at = useRef(0);
    const kept = useRef("");
    const send = async (event) => {
        event.preventDefault();
        const commands = typed.value.split("\n").map((each) => each.trim()).filter(Boolean);
        if (!commands.length) return;
        if (await attempt(() => post("/api/printer/command", { commands }))) {
            if (history[history.length - 1] !== typed.value) history.push(typed.value);
            history.splice(0, history.length - MAX_HISTORY);
            at.current = 0;
            typed.value = "";
        }
    };
    const turn = (event) => {
        const step = event.key === "ArrowUp" ? 1 : event.key === "ArrowDown" ? -1 : 0;
        const next = at.current + step;
        if (!step || next < 0 || next > history.length) return;
        event.preventDefault();
        if (at.current === 0) kept.current = typed.value;
        at.current = next;
        typed.value = next ? history[history.length - next] : kept.current;
    };
    return html`
        <form class="prompt" onSubmit=${send}>
            <input
                class="mono"
                aria-label="G-code to send"
                placeholder="G-code, such as M115"
                autocomplete="off"
                autocapitalize="characters"
                autocorrect="off"
                spellcheck=${false}
                enterkeyhint="send"
                value=${typed.value}
                onInput=${({ currentTarget }) => (typed.value = currentTarget.value)}
                onKeyDown=${turn}
            />
            <${Button} type="submit" kind="main" icon="send" disabled=${!isOperational.value}>Send<//>
            ${!isOperational.value && html`<p class="hint">The printer is not connected, so nothing can be sent.</p>`}
        </form>
    `;
}
