// The tab: its title and icon tell how far the print is.

import { effect } from "../vendor/preact.js";
import { ourPrinter } from "./live.js";
import { awaySince, fraction, isPrinting, printers, state } from "./store.js";
import { percent } from "./words.js";

const icon = document.getElementById("icon");
const plainIcon = icon.href;
const COLOR = "#0d8a80";
let drawn = null;

effect(() => {
    const done = fraction.value;
    const name = printers.value && ourPrinter()?.name;
    const what = isPrinting.value && done !== null ? `${percent(done)} – ${state.value.text}` : state.value.text;
    document.title = [awaySince.value ? "No answer" : what, name && name !== "default" ? name : "Limpet"].filter(Boolean).join(" – ");
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
