// Connecting: which port at which speed, and how the line is doing.

import { html, signal, useEffect, useLayoutEffect, useSignal } from "../../vendor/preact.js";
import { patch, post } from "../api.js";
import { Confirm, styled } from "../later.js";
import { ourPrinter, refresh } from "../live.js";
import { attempt, Button, Card, Choice, Facts, Switch } from "../parts.js";
import { connection, isPrinting, may, ports, printers } from "../store.js";
import { clock, percent, plain, size, whole } from "../words.js";

const AUTO = "AUTO";
const PORTS_INTERVAL = 3_000;
const CLOSED = ["Offline", "Offline after error"];

const Attempt = styled(() => import("./attempt.js").then((found) => found.Attempt), true);

export const isClosed = (state) => CLOSED.includes(state);

const ourId = () => ourPrinter()?.id;

export const connect = (choices) =>
    attempt(async () => {
        await post("/api/connection", { command: "connect", ...choices });
        await refresh.connection();
    });
export const disconnect = () =>
    attempt(async () => {
        await post("/api/connection", { command: "disconnect" });
        await refresh.connection();
    });

/** Whoever has pressed a button that is gone then, such as "Connect", goes on from here and not from the top of the page. */
export function useFocusKept() {
    const main = document.getElementById("main");
    const had = main?.contains(document.activeElement);
    useLayoutEffect(() => {
        if (had && document.activeElement === document.body) main.focus({ preventScroll: true });
    });
}

export function Connection() {
    useFocusKept();
    const known = connection.value;
    if (!known) return html`<${Card} title="Connection" kind="connection"><p class="soft">…</p><//>`;
    const { current } = known;
    if (current.state === "Operational" || current.link) return html`<${Connected} current=${current} />`;
    return html`
        <${Card} title="Connection" kind="connection hero">
            ${(current.error || !isClosed(current.state)) && html`<${Attempt} current=${current} />`}
            ${isClosed(current.state) && !current.error?.waiting && html`<${Choices} known=${known} />`}
        <//>
    `;
}

const NOTHING_THERE = "No port is there. Is the printer switched on, and the cable one for data?";
const chosen = { preferred: "", port: signal(AUTO), rate: signal("0"), profile: signal("_default"), remember: signal(false) };

function Choices({ known }) {
    const { current, options } = known;
    // What somebody saves is what is offered from then on; until then what was chosen here stays, also when it fails.
    useEffect(() => {
        const preferred = [options.portPreference, options.baudratePreference, options.printerProfilePreference];
        if (chosen.preferred === preferred.join()) return;
        chosen.preferred = preferred.join();
        chosen.port.value = preferred[0] ?? AUTO;
        chosen.rate.value = String(preferred[1] ?? 0);
        chosen.profile.value = preferred[2];
    }, [options.portPreference, options.baudratePreference, options.printerProfilePreference]);
    const { port, rate, profile, remember } = chosen;
    usePorts();

    const allowed = may("CONNECTION");
    const rows = portChoices(options.ports, options.portPreference, current.port);
    const go = () =>
        connect({
            port: port.value,
            baudrate: Number(rate.value),
            printerProfile: profile.value,
            ...(remember.value ? { save: true } : {}),
        });
    const atStart = (on) =>
        attempt(async () => {
            await patch(`/api/limpet/printers/${ourId()}`, { autoconnect: on });
            await refresh.connection();
        });
    return html`
        <form
            class="form"
            aria-label="Connect"
            onSubmit=${(event) => {
                event.preventDefault();
                go();
            }}
        >
            <${Choice} label="Port" value=${port} options=${rows} disabled=${!allowed}
                hint=${options.ports.some((each) => each !== "VIRTUAL") ? undefined : NOTHING_THERE} />
            <div class="pair">
                <${Choice}
                    label="Baudrate"
                    value=${rate}
                    disabled=${!allowed}
                    options=${[["0", "Automatic"], ...options.baudrates.map((each) => [String(each), String(each)])]}
                />
                ${options.printerProfiles.length > 1 &&
                html`<${Choice}
                    label="Profile"
                    value=${profile}
                    disabled=${!allowed}
                    options=${options.printerProfiles.map(({ id, name }) => [id, name])}
                />`}
            </div>
            <${Switch} label="Remember these choices" value=${remember} disabled=${!allowed} />
            <${Switch}
                label="Connect when Limpet starts"
                on=${options.autoconnect}
                onChange=${atStart}
                disabled=${!may("SETTINGS")}
            />
            <div class="row end">
                <${Button} type="submit" kind="main" icon="plug" disabled=${!allowed}>Connect<//>
            </div>
        </form>
    `;
}

/** Look at the ports as long as somebody may be choosing one. */
function usePorts() {
    useEffect(() => {
        const look = () => {
            if (document.hidden) return;
            refresh.ports();
            refresh.connection();
        };
        refresh.ports();
        const timer = setInterval(look, PORTS_INTERVAL);
        return () => clearInterval(timer);
    }, []);
}

export const shortName = (path) => path.replace(/^\/dev\/(serial\/by-(id|path)\/)?/, "");
const infoOf = (path) => ports.value.find((each) => each.path === path);

/** "Original Prusa i3 MK3 on ttyACM0". */
export function describe(path) {
    const info = infoOf(path);
    if (!info) return shortName(path);
    if (info.kind === "virtual") return "Virtual printer";
    return `${info.description} on ${shortName(path)}`;
}

function holderOf(path) {
    const info = infoOf(path);
    if (info?.printer && info.printer !== ourId()) {
        const other = printers.value?.find(({ id }) => id === info.printer);
        return `, in use by ${other?.name ?? info.printer}`;
    }
    return info?.holder ? `, in use by ${info.holder.name} (${info.holder.pid})` : "";
}

function portChoices(names, preference, now) {
    const rows = [[AUTO, "Automatic: find the printer"]];
    for (const name of names) rows.push([name, `${describe(name)}${holderOf(name)}`]);
    for (const name of new Set([preference, now])) {
        if (name && !names.includes(name) && name !== AUTO) rows.push([name, `${shortName(name)} (not there)`]);
    }
    return rows;
}

function Connected({ current }) {
    const { link, identity } = current;
    const asking = useSignal(false);
    return html`
        <${Card}
            title="Connection"
            kind="connection"
            actions=${may("CONNECTION") && html`<${Button} icon="disconnect" small onClick=${() => (isPrinting.value ? (asking.value = true) : disconnect())}>Disconnect<//>`}
        >
            <p class="lead">${identity?.machineType ?? describe(current.port)}</p>
            <p class="soft">
                ${shortName(current.port)} · ${current.baudrate} baud${current.firmware ? ` · ${current.firmware}` : ""}
            </p>
            ${link && html`<${Quality} link=${link} />`}
            ${asking.value &&
            html`<${Confirm} title="Disconnect in the middle of a print?" yes="Disconnect" no="Stay connected" onYes=${disconnect} onNo=${() => (asking.value = false)}>
                <p>What Limpet prints ends there.</p>
            <//>`}
        <//>
    `;
}

const LEVELS = [["poor", "Poor"], ["fair", "Fair"], ["good", "Good"]];

/** 2 where all is well, 0 where a person should look at the cable. */
function levelOf({ suspect, resends, linesSent, unreadableBytes, bytesReceived, reconnects }) {
    const again = linesSent ? resends / linesSent : 0;
    const noise = bytesReceived ? unreadableBytes / bytesReceived : 0;
    if (suspect || again > 0.02 || noise > 0.01) return 0;
    return again > 0.002 || noise > 0.001 || reconnects > 0 ? 1 : 2;
}

function Quality({ link }) {
    const level = levelOf(link);
    const [kind, word] = LEVELS[level];
    return html`
        <details class="quality">
            <summary>
                <span class=${`signal ${kind}`} aria-hidden="true"><i></i><i></i><i></i></span>
                Link: ${word.toLowerCase()}${link.suspect ? ", no answer at the moment" : ""}
            </summary>
            <${Facts}
                facts=${[
                    ["Connected since", clock(link.connectedAt)],
                    ["Answers within", link.roundTripP95 === null ? null : `${plain(Math.round(link.roundTripP95 * 1e4) / 10)} ms`],
                    ["Lines sent", whole(link.linesSent)],
                    ["Lines received", whole(link.linesReceived)],
                    ["Asked for again", link.linesSent ? `${whole(link.resends)} (${percent(link.resends / link.linesSent)})` : "0"],
                    ["Unreadable", size(link.unreadableBytes)],
                    ["Reconnected", whole(link.reconnects)],
                ]}
            />
        </details>
    `;
}
