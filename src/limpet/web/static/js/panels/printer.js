// The view of one printer: what it is doing, and what can be done with it.

import { html } from "../../vendor/preact.js";
import { connection, isOperational } from "../store.js";
import { Connection } from "./connection.js";

export function Printer() {
    if (!connection.value) return html`<p class="loading"></p>`;
    return html`<div class=${`desk ${isOperational.value ? "" : "closed"}`}><div class="side"><${Connection} /></div></div>`;
}
