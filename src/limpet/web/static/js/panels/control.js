// Moving the head, pushing filament, fan and speeds.

import { computed, effect, html, signal, useSignal } from "../../vendor/preact.js";
import { post } from "../api.js";
import { attempt, Button, Card, Choice } from "../parts.js";
import { connection, flags, isOperational, isPrinting, profile } from "../store.js";
import { numberOf, percent, plain } from "../words.js";

const STEPS = ["0.1", "1", "10", "100"];
const FULL_FAN = 255;
/** Key -> axis and direction, for whoever has the focus in the pad. */
const KEYS = {
    ArrowLeft: ["x", -1],
    ArrowRight: ["x", 1],
    ArrowUp: ["y", 1],
    ArrowDown: ["y", -1],
    PageUp: ["z", 1],
    PageDown: ["z", -1],
};

const head = (command, more) => attempt(() => post("/api/printer/printhead", { command, ...more }));
const gcode = (text) => attempt(() => post("/api/printer/command", { command: text }));
/** In a pause the head may be moved and filament pushed; all but what loses the place of the print. */
const isBusy = () => !isOperational.value || (isPrinting.value && !flags.value.paused);

export const Control = () => html`
    <${Card} title="Move" kind="move"><${Pad} /><//>
    <${Card} title="Filament" kind="filament"><${Extruder} /><//>
    <${Card} title="Fan and speed" kind="speeds">
        <${Percentage} label="Fan" most=${100} send=${(part) => gcode(part ? `M106 S${Math.round((FULL_FAN * part) / 100)}` : "M107")} start=${0} off />
        <${Percentage} label="Print speed" most=${300} least=${1} send=${(factor) => head("feedrate", { factor })} start=${100} />
        <${Percentage} label="Flow" most=${200} least=${1} send=${(factor) => attempt(() => post("/api/printer/tool", { command: "flowrate", factor }))} start=${100} />
    <//>
`;

function Pad() {
    const step = useSignal("10");
    const still = isBusy();
    const inPrint = !isOperational.value || isPrinting.value;
    const jog = (axis, direction) => {
        const inverted = profile.value?.axes?.[axis]?.inverted ? -1 : 1;
        return head("jog", { [axis]: direction * inverted * Number(step.value) });
    };
    const home = (...axes) => head("home", { axes });
    const press = (event) => {
        if (still || event.ctrlKey || event.altKey || event.metaKey || event.target.type === "radio") return;
        const digit = STEPS[Number(event.key) - 1];
        if (digit) step.value = digit;
        else if (KEYS[event.key]) jog(...KEYS[event.key]);
        else if (event.key === "Home" && !inPrint) home("x", "y", "z");
        else return;
        event.preventDefault();
    };
    const go = (place, icon, axis, direction) => html`
        <${Button} place=${`pad-${place}`} icon=${icon} label=${`${axis.toUpperCase()} ${direction > 0 ? "plus" : "minus"} ${plain(Number(step.value))} mm`} disabled=${still} onClick=${() => jog(axis, direction)} />
    `;
    return html`
        <div class="pads" role="group" aria-label="Jog" aria-describedby="pad-keys" onKeyDown=${press}>
            <div class="pad">
                ${go("up", "up", "y", 1)}${go("left", "left", "x", -1)}
                <${Button} place="pad-home" icon="home" label="Home X and Y" disabled=${inPrint} onClick=${() => home("x", "y")} />
                ${go("right", "right", "x", 1)}${go("down", "down", "y", -1)}
                <span class="axis pad-name" aria-hidden="true">X Y</span>
            </div>
            <div class="pad tall">
                ${go("up", "up", "z", 1)}
                <${Button} place="pad-home" icon="home" label="Home Z" disabled=${inPrint} onClick=${() => home("z")} />
                ${go("down", "down", "z", -1)}
                <span class="axis pad-name" aria-hidden="true">Z</span>
            </div>
        </div>
        <div class="row step">
            <fieldset class="segments">
                <legend class="unseen">Step in mm</legend>
                ${STEPS.map(
                    (each) => html`<label key=${each}>
                        <input type="radio" name="step" checked=${step.value === each} onChange=${() => (step.value = each)} /><span>${plain(Number(each))}</span>
                    </label>`,
                )}
            </fieldset>
            <span class="soft small">mm</span>
        </div>
        <div class="row">
            <${Button} icon="home" disabled=${inPrint} onClick=${() => home("x", "y", "z")}>Home all<//>
            <${Button} disabled=${inPrint} onClick=${() => gcode("M84")}>Motors off<//>
        </div>
        <p class="hint keys" id="pad-keys">With the focus on the arrows: arrow keys move X and Y, Page up and Page down Z, 1 to 4 choose the step, Home homes.</p>
    `;
}

function Extruder() {
    const [amount, tool] = [useSignal(""), useSignal("tool0")];
    const tools = profile.value?.extruder?.count ?? 1;
    const length = () => numberOf(amount.value || String(profile.value?.extruder?.defaultExtrusionLength ?? 5));
    const still = isBusy();
    const push = (direction) =>
        attempt(async () => {
            if (!(length() > 0)) throw new Error("The amount is a number of mm.");
            if (tools > 1) await post("/api/printer/tool", { command: "select", tool: tool.value });
            await post("/api/printer/tool", { command: "extrude", amount: direction * length() });
        });
    return html`
        ${tools > 1 && html`<${Choice} label="Tool" value=${tool} options=${Array.from({ length: tools }, (_, at) => [`tool${at}`, `Nozzle ${at + 1}`])} />`}
        <div class="push">
            <div class="field">
                <label for="amount">Amount in mm</label>
                <input id="amount" inputmode="decimal" placeholder=${plain(profile.value?.extruder?.defaultExtrusionLength ?? 5)} value=${amount.value}
                    onInput=${({ currentTarget }) => (amount.value = currentTarget.value)} disabled=${still} />
            </div>
            <${Button} icon="down" disabled=${still} onClick=${() => push(1)}>Extrude<//>
            <${Button} icon="up" disabled=${still} onClick=${() => push(-1)}>Retract<//>
        </div>
    `;
}

/** What was set here since the printer was connected; what it had before, and what a file sets, nobody tells. */
const rates = { Fan: signal(null), "Print speed": signal(null), Flow: signal(null) };
const connectedAt = computed(() => connection.value?.current.link?.connectedAt);
effect(() => {
    connectedAt.value;
    for (const rate of Object.values(rates)) rate.value = null;
});

/** A slider that sends what it is set to when it is let go; a finger that only scrolls the page over it sets nothing. */
function Percentage({ label, least = 0, most, send, start, off }) {
    const rate = rates[label];
    const held = useSignal(null);
    const told = held.value ?? rate.value;
    const id = `rate-${label.replace(" ", "-").toLowerCase()}`;
    const set = async (wanted) => {
        held.value = wanted;
        if (await send(wanted)) rate.value = wanted;
        held.value = null;
    };
    return html`
        <div class="slider">
            <label for=${id}>${label}</label>
            <output for=${id} class="number">${told === null ? "–" : percent(told / 100)}</output>
            <input
                type="range"
                id=${id}
                min=${least}
                max=${most}
                step="1"
                value=${told ?? start}
                disabled=${!isOperational.value}
                aria-valuetext=${told === null ? "not set here" : percent(told / 100)}
                onInput=${({ currentTarget }) => (held.value = Number(currentTarget.value))}
                onChange=${({ currentTarget }) => set(Number(currentTarget.value))}
                onPointerCancel=${() => (held.value = null)}
            />
            <${Button} small kind="quiet" disabled=${!isOperational.value} aria-label=${off ? `${label} Off` : `Reset ${label}`}
                onClick=${() => set(start)}>${off ? "Off" : "Reset"}<//>
        </div>
    `;
}
