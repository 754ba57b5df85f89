// The name and colour of the server, the camera, and the commands of the system.

import { html, useSignal } from "../../../vendor/preact.js";
import { post } from "../../api.js";
import { Confirm } from "../../dialog.js";
import { refresh } from "../../live.js";
import { attempt, Button, Card, Choice, Form, Switch, Text } from "../../parts.js";
import { may, note, settings } from "../../store.js";
import { useAnswer } from "./loading.js";

const COLORS = ["default", "red", "orange", "yellow", "green", "blue", "violet", "white"];

export const General = () => html`
    ${settings.value && html`<${Appearance} known=${settings.value} /><${Camera} known=${settings.value.webcam} />`}
    ${settings.value && html`<${Scripts} scripts=${settings.value.scripts?.gcode ?? {}} />`}
    ${may("SYSTEM") && html`<${Commands} />`}
`;

async function save(changes) {
    await post("/api/settings", changes);
    await refresh.settings();
    note("Saved.");
}

function Appearance({ known }) {
    const [name, color] = [useSignal(known.appearance.name), useSignal(known.appearance.color)];
    return html`
        <${Card} title="This Limpet">
            <${Form} label="This Limpet" submit="Save" onSubmit=${() => save({ appearance: { name: name.value, color: color.value } })}>
                <div class="pair">
                    <${Text} label="Name" hint="What other programs call it" value=${name} maxlength="64" />
                    <${Choice} label="Colour" value=${color} options=${COLORS.map((each) => [each, each])} />
                </div>
            <//>
        <//>
    `;
}

function Camera({ known }) {
    const [stream, snapshot] = [useSignal(known.streamUrl), useSignal(known.snapshotUrl)];
    const [flipH, flipV, rotate90] = [useSignal(known.flipH), useSignal(known.flipV), useSignal(known.rotate90)];
    const send = () =>
        save({
            webcam: { streamUrl: stream.value, snapshotUrl: snapshot.value, flipH: flipH.value, flipV: flipV.value, rotate90: rotate90.value },
        });
    return html`
        <${Card} title="Camera">
            <p class="soft">Other programs find the camera by these addresses.</p>
            <${Form} label="Camera" submit="Save" onSubmit=${send}>
                <${Text} label="Address of the stream" value=${stream} maxlength="1024" spellcheck=${false} />
                <${Text} label="Address of a single picture" value=${snapshot} maxlength="1024" spellcheck=${false} />
                <${Switch} label="Mirror it from left to right" value=${flipH} />
                <${Switch} label="Mirror it from top to bottom" value=${flipV} />
                <${Switch} label="Turn it by 90 degrees" value=${rotate90} />
            <//>
        <//>
    `;
}

/** G-code that is sent at certain moments; each is a text. */
function Scripts({ scripts }) {
    const names = Object.keys(scripts);
    if (!names.length) return null;
    return html`
        <${Card} title="Scripts">
            <p class="soft">G-code that is sent by itself when something happens.</p>
            ${names.map((name) => html`<${Script} key=${name} name=${name} text=${scripts[name]} />`)}
        <//>
    `;
}

const WORDS = {
    afterPrinterConnected: "After connecting",
    beforePrinterDisconnected: "Before disconnecting",
    beforePrintStarted: "Before a print",
    afterPrintDone: "After a print",
    afterPrintCancelled: "After a print was cancelled",
    afterPrintPaused: "After pausing",
    beforePrintResumed: "Before resuming",
    beforeToolChange: "Before a tool change",
    afterToolChange: "After a tool change",
};

function Script({ name, text }) {
    const value = useSignal(text ?? "");
    const id = `script-${name}`;
    return html`
        <${Form} label=${WORDS[name] ?? name} submit="Save" onSubmit=${() => save({ scripts: { gcode: { [name]: value.value } } })}>
            <div class="field">
                <label for=${id}>${WORDS[name] ?? name}</label>
                <textarea id=${id} rows="4" spellcheck=${false} value=${value.value} onInput=${({ currentTarget }) => (value.value = currentTarget.value)}></textarea>
            </div>
        <//>
    `;
}

function Commands() {
    const [all] = useAnswer("/api/system/commands");
    const asking = useSignal(null);
    const commands = Object.values(all ?? {}).flat();
    if (!commands.length) return null;
    const run = ({ source, action, name }) => attempt(() => post(`/api/system/commands/${source}/${action}`, {}), `${name}: done.`);
    return html`
        <${Card} title="Commands of the system">
            <div class="row">
                ${commands.map(
                    (each) => html`<${Button} key=${each.action} onClick=${() => (each.confirm ? (asking.value = each) : run(each))}>${each.name}<//>`,
                )}
            </div>
            ${asking.value &&
            html`<${Confirm} title=${asking.value.name} yes=${asking.value.name} onYes=${() => run(asking.value)} onNo=${() => (asking.value = null)}>
                <p>${asking.value.confirm}</p>
            <//>`}
        <//>
    `;
}
