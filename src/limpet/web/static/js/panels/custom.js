// Controls that the settings name: buttons that send G-code, and groups of them.

import { html, useSignal } from "../../vendor/preact.js";
import { post } from "../api.js";
import { Confirm } from "../later.js";
import { attempt, Button, Card } from "../parts.js";
import { isOperational, settings } from "../store.js";

export function Custom() {
    const controls = settings.value?.controls ?? [];
    const asking = useSignal(null);
    const run = ({ commands, command }) => attempt(() => post("/api/printer/command", { commands: commands ?? [command] }));
    const draw = (control) =>
        control.children
            ? html`<fieldset class="controls" key=${control.name}><legend>${control.name}</legend><div class="row">${control.children.map(draw)}</div></fieldset>`
            : html`<${Button} key=${control.name} disabled=${!isOperational.value} onClick=${() => (control.confirm ? (asking.value = control) : run(control))}>${control.name}<//>`;
    return html`
        <${Card} title="Controls">
            <div class="row">${controls.map(draw)}</div>
            ${asking.value &&
            html`<${Confirm} title=${asking.value.name} yes=${asking.value.name} kind="main" onYes=${() => run(asking.value)} onNo=${() => (asking.value = null)}>
                <p>${asking.value.confirm}</p>
            <//>`}
        <//>
    `;
}
