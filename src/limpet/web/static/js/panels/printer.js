// The view of one printer: what it is doing, and what can be done with it.

import { html, useEffect, useState } from "../../vendor/preact.js";
import { Spinner } from "../parts.js";
import { connection, isOperational, note } from "../store.js";
import { Connection } from "./connection.js";

let Desk = null;

/** Whoever only connects a printer need not wait for what comes after. */
function useDesk() {
    const [, draw] = useState(0);
    useEffect(() => {
        if (Desk) return;
        import("./desk.js").then(
            (found) => {
                Desk = found.Desk;
                draw(1);
            },
            () => note("This part of the page could not be loaded. Load the page anew.", "bad"),
        );
    }, []);
    return Desk;
}

export function Printer() {
    const Loaded = useDesk();
    if (!connection.value || (isOperational.value && !Loaded)) return html`<p class="loading"><${Spinner} /></p>`;
    if (!isOperational.value) return html`<div class="desk closed"><${Connection} /></div>`;
    return html`<${Loaded} />`;
}
