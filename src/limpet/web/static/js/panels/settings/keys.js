// Keys: one's own, and those of programs.

import { html, useSignal } from "../../../vendor/preact.js";
import { post, remove } from "../../api.js";
import { copy } from "../../clipboard.js";
import { Confirm } from "../../dialog.js";
import { attempt, Button, Card, Form, Notice, Text } from "../../parts.js";
import { me } from "../../store.js";
import { date } from "../../words.js";
import { useAnswer } from "./loading.js";

const PROGRAMS = "/api/plugin/appkeys";

export const Keys = () => html`
    ${me.value.name !== "_api" && html`<${Own} />`}
    <${Programs} />
`;

/** A key is told this once. */
function Told({ text }) {
    const take = () => attempt(() => copy(text), "The key is in the clipboard.");
    return html`
        <${Notice} kind="good" title="The new key, shown only now" live>
            <p class="mono">${text}</p>
            <${Button} small icon="copy" onClick=${take}>Copy<//>
        <//>
    `;
}

function Own() {
    const [made, ending] = [useSignal(null), useSignal(false)];
    const path = `/api/access/users/${encodeURIComponent(me.value.name)}/apikey`;
    const make = () => attempt(async () => (made.value = (await post(path, {})).apikey));
    const end = () =>
        attempt(async () => {
            await remove(path);
            made.value = null;
        }, "Your key is no longer valid.");
    return html`
        <${Card} title="Your API key">
            <p class="soft">For a slicer or a program of yours: it may do what you may. A new one ends the one before.</p>
            ${made.value && html`<${Told} text=${made.value} />`}
            <div class="row">
                <${Button} icon="key" onClick=${make}>Make a new key<//>
                <${Button} kind="quiet" onClick=${() => (ending.value = true)}>End it<//>
            </div>
        <//>
        ${ending.value &&
        html`<${Confirm} title="End your API key?" yes="End it" onYes=${end} onNo=${() => (ending.value = false)}>
            <p>Whatever uses it cannot get in any more until it is given a new one.</p>
        <//>`}
    `;
}

function Programs() {
    const [answer, again] = useAnswer(PROGRAMS);
    const [app, made, ending] = [useSignal(""), useSignal(null), useSignal(null)];
    const make = async () => {
        made.value = (await post(PROGRAMS, { command: "generate", app: app.value.trim() })).api_key;
        app.value = "";
        await again();
    };
    const end = () =>
        attempt(async () => {
            await post(PROGRAMS, { command: "revoke", app: ending.value.app_id, ...(ending.value.user_id ? { user: ending.value.user_id } : {}) });
            await again();
        });
    const keys = answer?.keys ?? [];
    return html`
        <${Card} title="Keys of programs">
            <p class="soft">A program that asks for a key is shown here as soon as it does. For one that cannot ask, make a key by hand.</p>
            <ul class="rows">
                ${keys.map(
                    (key) => html`<li key=${key.name} class="row between">
                        <div>
                            <h3>${key.app_id}</h3>
                            <p class="soft small">${[key.user_id && `of ${key.user_id}`, date(Date.parse(key.created) / 1000)].filter(Boolean).join(" · ")}</p>
                        </div>
                        <${Button} small kind="quiet" icon="trash" label=${`End the keys of ${key.app_id}`} onClick=${() => (ending.value = key)} />
                    </li>`,
                )}
            </ul>
            ${made.value && html`<${Told} text=${made.value} />`}
            <${Form} label="A key by hand" submit="Make a key" icon="key" onSubmit=${make}>
                <${Text} label="Name of the program" value=${app} required maxlength="64" />
            <//>
        <//>
        ${ending.value &&
        html`<${Confirm} title=${`End the keys of ${ending.value.app_id}?`} yes="End them" onYes=${end} onNo=${() => (ending.value = null)}>
            <p>The program cannot get in any more until it is given a new one.</p>
        <//>`}
    `;
}
