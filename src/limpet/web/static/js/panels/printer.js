// The view of one printer: what it is doing, and what can be done with it.

import { html } from "../../vendor/preact.js";
import { Spinner } from "../parts.js";
import { connection, isOperational, may } from "../store.js";
import { Connection } from "./connection.js";
import { Control } from "./control.js";
import { Job } from "./job.js";
import { Temperatures } from "./temperatures.js";

export function Printer() {
    if (!connection.value) return html`<p class="loading"><${Spinner} /></p>`;
    if (!isOperational.value) return html`<div class="desk closed"><${Connection} /></div>`;
    return html`
        <div class="desk">
            <div class="column"><${Job} /><${Temperatures} /></div>
            <div class="column side">${may("CONTROL") && html`<${Control} />`}<${Connection} /></div>
        </div>
    `;
}
