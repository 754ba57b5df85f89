// Programs that ask for a key, for whoever may decide.

import { html, useSignal } from "../../vendor/preact.js";
import { post } from "../api.js";
import { Aside, Dialog } from "../dialog.js";
import { attempt, Button } from "../parts.js";
import { me } from "../store.js";

/** `first` is the one that waits; `onDecided` is told when that is over. */
export function Asked({ first, onDecided }) {
    const aside = useSignal(false);
    const decide = async (decision) => {
        const said = decision ? `${first.app_id} has a key now.` : `${first.app_id} gets no key.`;
        await attempt(() => post(`/plugin/appkeys/decision/${first.user_token}`, { decision }), said);
        await onDecided();
    };
    const title = "A program asks for a key";
    // It came by itself: whoever closes it has not answered.
    if (aside.value) return html`<${Aside} title=${title} text=${first.app_id} onAnswer=${() => (aside.value = false)} />`;
    return html`
        <${Dialog} title=${title} onClose=${() => (aside.value = true)}>
            <div class="text">
                <p class="lead">${first.app_id}</p>
                <p>wants to use this printer in the name of <strong>${first.user_id ?? me.value.name}</strong>. Allow it only if it is you who has just connected it.</p>
            </div>
            <div class="row end">
                <${Button} onClick=${() => decide(false)}>Do not allow<//>
                <${Button} kind="main" icon="key" onClick=${() => decide(true)}>Allow<//>
            </div>
        <//>
    `;
}
