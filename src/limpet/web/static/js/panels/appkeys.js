// Programs that ask for a key, for whoever may decide.

import { html, useEffect, useSignal } from "../../vendor/preact.js";
import { get, post } from "../api.js";
import { attempt, Button, Dialog } from "../parts.js";
import { awaySince, may, me } from "../store.js";

const INTERVAL = 4_000;

/** Lies over any view as long as a program waits. */
export function Asking() {
    const waiting = useSignal([]);
    const mayDecide = may("PLUGIN_APPKEYS_ADMIN") || may("PLUGIN_APPKEYS_GRANT");
    const look = async () => {
        if (document.hidden || awaySince.value) return;
        waiting.value = await get("/api/plugin/appkeys").then(({ pending }) => Object.values(pending), () => []);
    };
    useEffect(() => {
        if (!mayDecide) return undefined;
        look();
        const timer = setInterval(look, INTERVAL);
        return () => clearInterval(timer);
    }, [mayDecide]);

    const [first] = waiting.value;
    if (!first) return null;
    const decide = async (decision) => {
        const said = decision ? `${first.app_id} has a key now.` : `${first.app_id} gets no key.`;
        await attempt(() => post(`/plugin/appkeys/decision/${first.user_token}`, { decision }), said);
        await look();
    };
    return html`
        <${Dialog} key=${first.user_token} title="A program asks for a key" onClose=${() => decide(false)}>
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
