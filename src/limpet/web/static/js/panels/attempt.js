// An attempt to connect: what detection hears, why it failed, and that a printer is waited for.

import { html } from "../../vendor/preact.js";
import { Icon } from "../icons.js";
import { Button, Notice, Spinner } from "../parts.js";
import { may } from "../store.js";
import { clock } from "../words.js";
import { connect, describe, disconnect, isClosed, shortName } from "./connection.js";

export function Attempt({ current }) {
    const { state, error } = current;
    if (!isClosed(state)) return html`<${Trying} current=${current} />`;
    return error.waiting ? html`<${Waiting} error=${error} />` : html`<${Failed} error=${error} />`;
}

/** The last attempt has ended for a reason. */
const Failed = ({ error }) => html`
    <${Notice} kind="bad" title=${error.message} live>
        <p>${error.hint}</p>
        <${Traffic} error=${error} />
    <//>
`;

const Traffic = ({ error }) => html`
    <details>
        <summary>${error.log.length ? "The last lines on the wire" : "Nothing was heard or sent"}, ${clock(error.at)}</summary>
        ${error.log.length > 0 && html`<pre class="wire" tabindex="0" aria-label="The last lines on the wire">${error.log.join("\n")}</pre>`}
    </details>
`;

/** The printer has gone and is taken up again when it is back. */
const Waiting = ({ error }) => html`
    <div class="waiting" role="status">
        <span class="beacon" aria-hidden="true"></span>
        <div>
            <strong>Waiting for the printer</strong>
            <p>${error.message}. ${error.hint}</p>
            <p class="soft">It is connected again as soon as it is back.</p>
            <${Traffic} error=${error} />
        </div>
    </div>
    ${may("CONNECTION") &&
    html`<div class="row end">
        <${Button} onClick=${disconnect}>Stop waiting<//>
        <${Button} kind="main" icon="refresh" onClick=${() => connect({})}>Try now<//>
    </div>`}
`;

/** An attempt is under way; detection tells of each candidate. */
function Trying({ current }) {
    const { candidates } = current;
    return html`
        <div class="trying" role="status">
            <p class="now"><${Spinner} /><strong>${stateWords(current)}</strong></p>
        </div>
        ${candidates.length > 0 &&
        html`<ol class="candidates" aria-label="What was heard at each port">
            ${candidates.map(
                ({ port, verdict, done }) => html`
                    <li key=${port} class=${done ? "done" : ""}>
                        ${done ? html`<${Icon} name="close" />` : html`<${Spinner} />`}
                        <div><strong>${describe(port)}</strong><span>${verdict}</span></div>
                    </li>
                `,
            )}
        </ol>`}
        ${may("CONNECTION") && html`<div class="row end"><${Button} onClick=${disconnect}>Cancel<//></div>`}
    `;
}

function stateWords({ state, port, baudrate }) {
    const at = port ? ` ${shortName(port)}${baudrate ? ` at ${baudrate} baud` : ""}` : "";
    if (state.startsWith("Detecting")) return "Looking for the printer …";
    if (state.startsWith("Opening")) return `Opening${at} …`;
    return `Greeting the printer${port ? ` on${at}` : ""} …`;
}
