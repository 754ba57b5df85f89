// What kinds of printers are like: size, tools, limits.

import { html, useSignal } from "../../../vendor/preact.js";
import { patch, post, remove } from "../../api.js";
import { Confirm, Dialog } from "../../dialog.js";
import { attempt, Button, Card, Choice, Form, Switch, Text } from "../../parts.js";
import { note } from "../../store.js";
import { numberOf, plain } from "../../words.js";
import { idOf } from "./ids.js";
import { useAnswer } from "./loading.js";

/** Label, where it stands in a profile, and whether it is a whole number. */
const NUMBERS = [
    ["Width in mm", ["volume", "width"]],
    ["Depth in mm", ["volume", "depth"]],
    ["Height in mm", ["volume", "height"]],
    ["Tools", ["extruder", "count"]],
    ["Nozzle in mm", ["extruder", "nozzleDiameter"]],
    ["Amount to extrude in mm", ["extruder", "defaultExtrusionLength"]],
    ["Speed of X in mm/min", ["axes", "x", "speed"]],
    ["Speed of Y in mm/min", ["axes", "y", "speed"]],
    ["Speed of Z in mm/min", ["axes", "z", "speed"]],
    ["Speed of E in mm/min", ["axes", "e", "speed"]],
    ["Nozzle at most in °C", ["limits", "maxHotend"]],
    ["Bed at most in °C", ["limits", "maxBed"]],
    ["Chamber at most in °C", ["limits", "maxChamber"]],
    ["Extrude from, in °C", ["limits", "minExtrusionTemperature"]],
];
const FLAGS = [
    ["Heated bed", ["heatedBed"]],
    ["Heated chamber", ["heatedChamber"]],
    ["All tools have one nozzle", ["extruder", "sharedNozzle"]],
    ["X is moved the other way by the arrows", ["axes", "x", "inverted"]],
    ["Y is moved the other way", ["axes", "y", "inverted"]],
    ["Z is moved the other way", ["axes", "z", "inverted"]],
];

const at = (profile, path) => path.reduce((part, name) => part?.[name], profile);

/** The same, with `value` at `path`. */
function withValue(profile, [name, ...rest], value) {
    return { ...profile, [name]: rest.length ? withValue(profile[name] ?? {}, rest, value) : value };
}

export function Profiles() {
    const [answer, again] = useAnswer("/api/printerprofiles");
    const open = useSignal(null);
    const all = Object.values(answer?.profiles ?? {});
    const close = () => {
        open.value = null;
        again();
    };
    const basis = all.find((each) => each.default) ?? all[0];
    return html`
        <${Card} title="Printer profiles" actions=${html`<${Button} icon="add" small disabled=${!basis} onClick=${() => (open.value = { add: true })}>Add a profile<//>`}>
            <ul class="rows">
                ${all.map(
                    (profile) => html`<li key=${profile.id} class="row between">
                        <div>
                            <h3>${profile.name}${profile.current && html` <span class="tag">in use</span>`}</h3>
                            <p class="soft small">${plain(profile.volume.width)} × ${plain(profile.volume.depth)} × ${plain(profile.volume.height)} mm · ${profile.model}</p>
                        </div>
                        <div class="row">
                            <${Button} icon="edit" small label=${`Change ${profile.name}`} onClick=${() => (open.value = { change: profile })} />
                            <${Button} icon="trash" small kind="quiet" label=${`Remove ${profile.name}`} disabled=${profile.default || profile.current || profile.id === "_default"} onClick=${() => (open.value = { remove: profile })} />
                        </div>
                    </li>`,
                )}
            </ul>
        <//>
        ${open.value?.add && html`<${Profile} profile=${{ ...basis, name: "", model: "" }} taken=${all.map(({ id }) => id)} onClose=${close} />`}
        ${open.value?.change && html`<${Profile} profile=${open.value.change} onClose=${close} />`}
        ${open.value?.remove &&
        html`<${Confirm} title=${`Remove ${open.value.remove.name}?`} yes="Remove" onNo=${close} onYes=${() => attempt(() => remove(`/api/printerprofiles/${open.value.remove.id}`))}>
            <p>It cannot be had back.</p>
        <//>`}
    `;
}

function Profile({ profile, taken, onClose }) {
    const isNew = Boolean(taken);
    const draft = useSignal(profile);
    const text = (...path) => ({
        get value() {
            return at(draft.value, path) ?? "";
        },
        set value(typed) {
            draft.value = withValue(draft.value, path, typed);
        },
    });
    const save = async () => {
        const { resource, default: _, current, ...fields } = draft.value;
        let sent = fields;
        for (const [label, path] of NUMBERS) {
            const typed = at(sent, path);
            if (typed === undefined || typed === null) continue;
            const value = numberOf(String(typed));
            if (Number.isNaN(value)) throw new Error(`${label}: that is no number.`);
            sent = withValue(sent, path, value);
        }
        if (isNew) {
            await post("/api/printerprofiles", { profile: { ...sent, id: idOf(sent.name, taken, "profile") } });
        } else {
            await patch(`/api/printerprofiles/${profile.id}`, { profile: sent });
        }
        note("Saved.");
        onClose();
    };
    return html`
        <${Dialog} title=${isNew ? "A new profile" : profile.name} kind="large" onClose=${onClose}>
            <${Form} label="Profile" submit="Save" onSubmit=${save}>
                <div class="pair">
                    <${Text} label="Name" value=${text("name")} required maxlength="64" autofocus />
                    <${Text} label="Model" value=${text("model")} maxlength="64" />
                    <${Choice} label="Bed" value=${text("volume", "formFactor")} options=${[["rectangular", "Rectangular"], ["circular", "Circular"]]} />
                    <${Choice} label="Origin" value=${text("volume", "origin")} options=${[["lowerleft", "Front left corner"], ["center", "Centre"]]} />
                    ${NUMBERS.map(([label, path]) => html`<${Text} key=${label} label=${label} value=${text(...path)} inputmode="decimal" required />`)}
                </div>
                ${FLAGS.map(
                    ([label, path]) => html`<${Switch} key=${label} label=${label} on=${Boolean(at(draft.value, path))} onChange=${(on) => (draft.value = withValue(draft.value, path, on))} />`,
                )}
            <//>
        <//>
    `;
}
