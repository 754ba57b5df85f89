// Temperatures: as they are, as they are to be, and as they were.

import { html, useSignal } from "../../vendor/preact.js";
import { post } from "../api.js";
import { Chart, colorOf } from "../chart.js";
import { Icon } from "../icons.js";
import { attempt, Button, Card } from "../parts.js";
import { heat, isOperational, may, offsets, profile, settings } from "../store.js";
import { heaterName, numberOf, plain, tenths, whole } from "../words.js";

const SPANS = [["600", "10 min"], ["3600", "1 h"], ["43200", "all"]];
const ORDER = (id) => (id.startsWith("tool") ? Number(id.slice(4)) : id === "bed" ? 100 : 101);

const setTarget = (id, degrees) =>
    id.startsWith("tool")
        ? post("/api/printer/tool", { command: "target", targets: { [id]: degrees } })
        : post(`/api/printer/${id}`, { command: "target", target: degrees });

export function Temperatures() {
    const span = useSignal(SPANS[0][0]);
    const heaters = Object.keys(heat.value).sort((one, other) => ORDER(one) - ORDER(other));
    const several = heaters.includes("tool1");
    return html`
        <${Card}
            title="Temperatures"
            actions=${html`<fieldset class="segments">
                <legend class="unseen">How long back the chart shows</legend>
                ${SPANS.map(
                    ([value, name]) => html`<label key=${value}>
                        <input type="radio" name="span" checked=${span.value === value} onChange=${() => (span.value = value)} /><span>${name}</span>
                    </label>`,
                )}
            </fieldset>`}
        >
            <div class="heaters">
                ${heaters.map((id) => html`<${Heater} key=${id} id=${id} name=${heaterName(id, several)} />`)}
                ${!heaters.length && html`<p class="soft">The printer has not told any yet.</p>`}
            </div>
            ${may("CONTROL") && isOperational.value && heaters.length > 0 && html`<${Presets} heaters=${heaters} />`}
            <${Chart} span=${Number(span.value)} />
        <//>
    `;
}

function Heater({ id, name }) {
    const typed = useSignal("");
    const { actual, target } = heat.value[id] ?? {};
    const offset = offsets.value[id];
    const most = profile.value?.limits?.[id === "bed" ? "maxBed" : id === "chamber" ? "maxChamber" : "maxHotend"];
    const set = (event) => {
        event.preventDefault();
        const degrees = numberOf(typed.value);
        attempt(async () => {
            if (Number.isNaN(degrees)) throw new Error("A temperature is a number of °C.");
            await setTarget(id, degrees);
            typed.value = "";
        });
    };
    return html`
        <div class=${`heater ${target > 0 ? "on" : ""}`} style=${{ "--color": `var(${colorOf(id)}, var(--hot))` }}>
            <p class="name"><i class="dot" aria-hidden="true"></i>${name}</p>
            <p class="actual number">${tenths(actual)}<span class="unit"> °C</span></p>
            <p class="goal soft number">
                ${target > 0 ? html`<${Icon} name="right" />${whole(target)} °C` : "off"}${offset ? ` (${offset > 0 ? "+" : ""}${plain(offset)} in prints)` : ""}
            </p>
            ${may("CONTROL") &&
            html`<form class="set" onSubmit=${set}>
                <input
                    inputmode="decimal"
                    required
                    aria-label=${`${name} target`}
                    placeholder=${target > 0 ? whole(target) : "Target"}
                    value=${typed.value}
                    title=${most ? `At most ${whole(most)} °C` : undefined}
                    disabled=${!isOperational.value}
                    onInput=${({ currentTarget }) => (typed.value = currentTarget.value)}
                />
                <${Button} type="submit" small disabled=${!isOperational.value} aria-label=${`Set ${name} target`}>Set<//>
                <${Button} small kind="quiet" disabled=${!isOperational.value || !(target > 0)} aria-label=${`${name} off`} onClick=${() => attempt(() => setTarget(id, 0))}>Off<//>
            </form>`}
        </div>
    `;
}

/** The materials of the settings, for all heaters at once. */
function Presets({ heaters }) {
    const materials = settings.value?.temperature?.profiles ?? [];
    const use = ({ extruder, bed, chamber }) =>
        attempt(async () => {
            for (const id of heaters) {
                const degrees = id === "bed" ? bed : id === "chamber" ? chamber : id === "tool0" ? extruder : null;
                if (degrees !== null && degrees !== undefined) await setTarget(id, Number(degrees));
            }
        });
    const off = () =>
        attempt(async () => {
            for (const id of heaters) await setTarget(id, 0);
        });
    return html`
        <div class="row presets" role="group" aria-label="Heat up for a material">
            ${materials.map(
                (material) => html`<${Button} key=${material.name} small icon="heat" title=${degreesOf(material)} onClick=${() => use(material)}>${material.name}<//>`,
            )}
            <${Button} small onClick=${off}>Cool down<//>
        </div>
    `;
}

const degreesOf = ({ extruder, bed, chamber }) =>
    [["Nozzle", extruder], ["Bed", bed], ["Chamber", chamber]]
        .filter(([, degrees]) => degrees !== null && degrees !== undefined)
        .map(([name, degrees]) => `${name} ${plain(Number(degrees))} °C`)
        .join(", ");
