// All printers at a glance.

import { html, useEffect } from "../../vendor/preact.js";
import { pageOf } from "../api.js";
import { Icon } from "../icons.js";
import { refresh } from "../live.js";
import { Bar } from "../parts.js";
import { may, printers } from "../store.js";
import { clock, duration, heaterName, percent, whole } from "../words.js";

const INTERVAL = 2_000;
const AT_WORK = ["Starting", "Printing", "Printing from SD", "Resuming", "Finishing"];

/** The push tells of one printer; where others are shown, all are asked for. */
export function useFreshPrinters() {
    useEffect(() => {
        const look = () => !document.hidden && refresh.printers();
        look();
        const timer = setInterval(look, INTERVAL);
        return () => clearInterval(timer);
    }, []);
}

export function Overview() {
    useFreshPrinters();
    // Settings are shown beside a printer; those of the server are the same beside each.
    const settings = `${pageOf(printers.value.find((each) => each.default).id)}#/settings`;
    return html`
        <ul class="printers">
            ${printers.value.map((printer) => html`<li key=${printer.id}><${Tile} printer=${printer} /></li>`)}
        </ul>
        <nav class="row around" aria-label="Settings">
            ${may("SETTINGS") && html`<a class="button" href=${`${settings}/printers/add`}><${Icon} name="add" />Add a printer</a>`}
            <a class="button" href=${settings}><${Icon} name="settings" />Settings</a>
        </nav>
    `;
}

function kindOf({ state, text, error }) {
    if (error) return error.waiting ? "warn" : "bad";
    if (state !== "Operational") return state === "Offline" ? "off" : "busy";
    return text === state ? "good" : AT_WORK.includes(text) ? "busy" : "warn";
}

function Tile({ printer }) {
    const { name, state, text, error, file, progress, temperatures, port } = printer;
    const prints = state === "Operational" && text !== state;
    const left = progress.printTimeLeft;
    return html`
        <a class="card tile" href=${pageOf(printer.id)}>
            <h2>${name}</h2>
            <p class=${`chip ${kindOf(printer)}`}>${error?.waiting ? "Waiting for it" : text}</p>
            ${prints
                ? html`
                      <p class="cut">${file}</p>
                      <${Bar} fraction=${(progress.completion ?? 0) / 100} label=${`Progress of ${name}`} />
                      <p class="soft small number">
                          ${[
                              Number.isFinite(progress.completion) && percent(progress.completion / 100),
                              Number.isFinite(left) && `${duration(left)} left, done at ${clock(Date.now() / 1000 + left)}`,
                          ]
                              .filter(Boolean)
                              .join(" · ")}
                      </p>
                  `
                : html`<p class="soft small">${error ? error.message : (port ?? "Not connected")}</p>`}
            <p class="soft small number">
                ${Object.entries(temperatures)
                    .map(([id, { actual, target }]) => `${heaterName(id, "tool1" in temperatures)} ${whole(actual)}${target > 0 ? ` → ${whole(target)}` : ""} °C`)
                    .join(" · ")}
            </p>
        </a>
    `;
}
