// All printers at a glance.

import { html, useEffect } from "../../vendor/preact.js";
import { pageOf } from "../api.js";
import { refresh } from "../live.js";
import { awaySince, printers } from "../store.js";

const INTERVAL = 2_000;

export function Overview() {
    useEffect(() => {
        const look = () => !document.hidden && refresh.printers();
        look();
        const timer = setInterval(look, INTERVAL);
        return () => clearInterval(timer);
    }, []);
    return html`
        <ul class="printers" aria-busy=${awaySince.value > 0}>
            ${printers.value.map((printer) => html`<li key=${printer.id}><${Tile} printer=${printer} /></li>`)}
        </ul>
    `;
}

function kindOf({ state, error }) {
    if (error) return error.waiting ? "warn" : "bad";
    if (state === "Operational") return "good";
    return state === "Offline" ? "off" : "busy";
}

const Tile = ({ printer }) => html`
    <a class="card tile" href=${pageOf(printer.id)}>
        <h2>${printer.name}</h2>
        <p class=${`chip ${kindOf(printer)}`}>${printer.error?.waiting ? "Waiting for it" : printer.state}</p>
        <p class="soft small">${printer.error ? printer.error.message : printer.port ?? "not connected"}</p>
    </a>
`;
