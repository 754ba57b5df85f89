// The tab: its title and icon tell how far the print is.

import { effect } from "../vendor/preact.js";
import { namedPrinter } from "./api.js";
import { ourPrinter } from "./live.js";
import { awaySince, fraction, me, printers, state } from "./store.js";
import { percent } from "./words.js";

const icon = document.getElementById("icon");
const plainIcon = icon.href;
const COLOR = "#0d8a80";
let drawn = null;

effect(() => {
    const somebody = me.value !== null;
    const done = somebody ? fraction.value : null;
    const { text } = state.value;
    // The overview is of no printer in particular.
    const name = (namedPrinter || printers.value?.length === 1) && ourPrinter()?.name;
    const what = awaySince.value ? "No answer" : done === null ? text : `${percent(done)} – ${text}`;
    document.title = somebody ? [what, name && name !== "default" ? name : "Limpet"].filter(Boolean).join(" – ") : "Limpet";
    draw(done === null ? null : Math.round(done * 50));
});

/** A ring that closes, `fiftieths` of it; the plain icon for null. */
function draw(fiftieths) {
    if (fiftieths === drawn) return;
    drawn = fiftieths;
    if (fiftieths === null) {
        icon.href = plainIcon;
        return;
    }
    const length = 2 * Math.PI * 12;
    const svg =
        `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><g fill="none" stroke-width="7" transform="rotate(-90 16 16)">` +
        `<circle cx="16" cy="16" r="12" stroke="#8aa3a0" stroke-opacity=".45"/><circle cx="16" cy="16" r="12" stroke="${COLOR}" ` +
        `stroke-dasharray="${(length * fiftieths) / 50} ${length}"/></g></svg>`;
    icon.href = `data:image/svg+xml,${encodeURIComponent(svg)}`;
}
