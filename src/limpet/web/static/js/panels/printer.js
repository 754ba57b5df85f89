// The view of one printer: what it is doing, and what can be done with it.

import { html, useEffect } from "../../vendor/preact.js";
import { later } from "../later.js";
import { Spinner } from "../parts.js";
import { connection, isOperational, lastPrint } from "../store.js";
import { Connection, useFocusKept } from "./connection.js";

const load = () => import("./desk.js").then((found) => found.Desk);
/** Whoever only connects a printer need not wait for what comes after. */
const Desk = later(load);
const Last = later(() => import("./job.js").then((found) => found.Last), true);

export function Printer() {
    useFocusKept();
    useEffect(() => {
        load().catch(() => {});
    }, []);
    if (!connection.value) return html`<p class="loading"><${Spinner} /></p>`;
    if (!isOperational.value) return html`<div class="desk closed">${lastPrint.value?.outcome === "failed" && html`<${Last} />`}<${Connection} /></div>`;
    return html`<${Desk} />`;
}
