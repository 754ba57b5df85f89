// The name and colour of the server, the camera, and the commands of the system.

import { html, useSignal } from "../../../vendor/preact.js";
import { post } from "../../api.js";
import { Confirm } from "../../dialog.js";
import { refresh } from "../../live.js";
import { attempt, Button, Card, Choice, Form, Switch, Text } from "../../parts.js";
import { isPrinting, may, note, settings } from "../../store.js";
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

/** G-code that is sent at certain moments, by name. */
function Scripts({ scripts }) {
    const names = [...new Set([...Object.keys(WORDS), ...Object.keys(scripts)])];
    const name = useSignal(names[0]);
    /** What was typed and is not saved yet, by name. */
    const drafts = useSignal(new Map());
    const label = (of) => `${WORDS[of] ?? of}${drafts.value.has(of) ? " (not saved)" : ""}`;
    return html`
        <${Card} title="Scripts of this printer">
            <p class="soft">G-code that is sent by itself at certain moments; placeholders are those of OctoPrint.</p>
            <${Choice} label="When" value=${name} options=${names.map((each) => [each, label(each)])} />
            <${Script} key=${name.value} name=${name.value} saved=${scripts[name.value] ?? ""} drafts=${drafts} />
        <//>
    `;
}

const WORDS = {
    afterPrinterConnected: "After connecting",
    beforePrinterDisconnected: "Before disconnecting",
    beforePrintStarted: "Before a print",
    afterPrintDone: "When a print is done",
    afterPrintCancelled: "When a print was cancelled",
    afterPrintPaused: "When a print has paused",
    beforePrintResumed: "Before a paused print goes on",
    beforeToolChange: "Before a tool change",
    afterToolChange: "After a tool change",
};

function Script({ name, saved, drafts }) {
    const text = drafts.value.get(name) ?? saved;
    const send = async () => {
        await save({ scripts: { gcode: { [name]: text } } });
        if (drafts.value.get(name) === text) drafts.value = new Map([...drafts.value].filter(([each]) => each !== name));
    };
    const type = ({ currentTarget }) => (drafts.value = new Map(drafts.value).set(name, currentTarget.value));
    return html`
        <${Form} label="Script" submit="Save" onSubmit=${send}>
            <div class="field">
                <label for="script">G-code</label>
                <textarea id="script" rows="8" spellcheck=${false} value=${text} onInput=${type}></textarea>
            </div>
        <//>
    `;
}

function Commands() {
    const [all] = useAnswer("/api/system/commands");
    const asking = useSignal(null);
    const commands = Object.values(all ?? {}).flat();
    if (!commands.length) return null;
    const run = ({ source, action, name }, confirm) =>
        attempt(() => post(`/api/system/commands/${source}/${action}`, confirm ? { confirm } : {}), `${name}: done.`);
    // What ends Limpet ends a print with it.
    const warning = ({ source }) => source === "core" && isPrinting.value && "A print is under way; it would be lost.";
    const press = (each) => (each.confirm || warning(each) ? (asking.value = each) : run(each));
    return html`
        <${Card} title="Commands of the system">
            <div class="row">
                ${commands.map(
                    (each) => html`<${Button} key=${each.action} onClick=${() => press(each)}>${each.name}<//>`,
                )}
            </div>
            ${asking.value &&
            html`<${Confirm} title=${asking.value.name} yes=${asking.value.name} onYes=${() => run(asking.value, true)} onNo=${() => (asking.value = null)}>
                ${asking.value.confirm && html`<p>${asking.value.confirm}</p>`}
                ${warning(asking.value) && html`<p class="error">${warning(asking.value)}</p>`}
            <//>`}
        <//>
    `;
}
