// A question that the printer asks, such as "Filament changed?".

import { html } from "../../vendor/preact.js";
import { post } from "../api.js";
import { Dialog } from "../dialog.js";
import { attempt, Button } from "../parts.js";
import { may, prompt } from "../store.js";

const PATH = "/api/plugin/action_command_prompt";

export function Prompt() {
    const asked = prompt.value;
    if (!asked) return null;
    const choose = async (choice) => {
        if (await attempt(() => post(PATH, { command: "select", choice }))) prompt.value = null;
    };
    return html`
        <${Dialog} title="The printer asks" onClose=${() => (prompt.value = null)}>
            <p class="lead">${asked.text}</p>
            <div class="row end">
                ${asked.choices.map((text, at) => html`<${Button} key=${at} disabled=${!may("PLUGIN_ACTION_COMMAND_PROMPT_INTERACT")} onClick=${() => choose(at)}>${text}<//>`)}
            </div>
        <//>
    `;
}
