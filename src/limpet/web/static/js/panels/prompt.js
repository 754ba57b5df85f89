// A question that the printer asks, such as "Filament changed?".

import { html, useSignal } from "../../vendor/preact.js";
import { post } from "../api.js";
import { Aside, Dialog } from "../dialog.js";
import { attempt, Button } from "../parts.js";
import { may, prompt } from "../store.js";

const PATH = "/api/plugin/action_command_prompt";

export function Prompt() {
    const asked = prompt.value;
    const aside = useSignal(null);
    if (!asked) return null;
    // Closing is no answer: the printer waits for one.
    if (aside.value === asked) {
        return html`<${Aside} title="The printer asks" text=${asked.text} onAnswer=${() => (aside.value = null)} />`;
    }
    const choose = async (choice) => {
        if (await attempt(() => post(PATH, { command: "select", choice }))) prompt.value = null;
    };
    return html`
        <${Dialog} title="The printer asks" onClose=${() => (aside.value = asked)}>
            <p class="lead">${asked.text}</p>
            <div class="row end">
                ${asked.choices.map((text, at) => html`<${Button} key=${at} disabled=${!may("PLUGIN_ACTION_COMMAND_PROMPT_INTERACT")} onClick=${() => choose(at)}>${text}<//>`)}
            </div>
        <//>
    `;
}
