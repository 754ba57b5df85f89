// What is around every view: the name of the printer, its state, the ways to the views, and the emergency stop.

import { html, useEffect, useState } from "../../vendor/preact.js";
import { namedPrinter, pageOf, root } from "../api.js";
import { Icon, Mark } from "../icons.js";
import { styled } from "../later.js";
import { Button, Notice } from "../parts.js";
import { logOut } from "../people.js";
import { route } from "../route.js";
import { awaySince, flags, isPrinting, may, me, printers, prompt, state } from "../store.js";
import { duration } from "../words.js";
import { Asking } from "./asking.js";
import { Stop } from "./stop.js";
import { Uploads } from "./uploads.js";

const VIEWS = [
    ["", "Printer", "printer", "STATUS"],
    ["files", "Files", "files", "FILES_LIST"],
    ["terminal", "Terminal", "terminal", "MONITOR_TERMINAL"],
    ["settings", "Settings", "settings", "STATUS"],
];

const Prompt = styled(() => import("./prompt.js").then((found) => found.Prompt), true);

export const Shell = ({ printer, children }) => html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <header class="top">
        <div class="bar">
            <div class="who">
                <a class="brand" href=${root} aria-label="Limpet, all printers" title="All printers"><${Mark} /></a>
                <div class="printer">
                    ${printer ? html`<h1>${printer.name === "default" ? "Printer" : printer.name}</h1><${StateChip} />` : html`<h1>Printers</h1>`}
                </div>
            </div>
            ${printer && html`<${Views} />`}
            <div class="row tools">
                ${printer && html`<${Stop} />`}
                <${Me} />
            </div>
        </div>
    </header>
    <div class="away"><${Away} />${printer && prompt.value && html`<${Prompt} />`}<${Asking} /></div>
    <main id="main" tabindex="-1">${children}</main>
    ${printer && html`<${Uploads} />`}
`;

function skip(event) {
    event.preventDefault();
    document.getElementById("main").focus();
}

/** Past prints belong to the files. */
const shown = () => (route.value[0] === "history" ? "files" : route.value[0]);

const Views = () => html`
    <nav class="views" aria-label="Views">
        ${VIEWS.filter(([, , , permission]) => may(permission)).map(
            ([path, name, icon]) => html`
                <a key=${path} href=${`#/${path}`} aria-current=${shown() === path ? "page" : undefined}>
                    <${Icon} name=${icon} /><span>${name}</span>
                </a>
            `,
        )}
    </nav>
`;

export function kindOf({ operational, error, closedOrError, printing, paused, pausing }) {
    if (error) return "bad";
    if (paused || pausing) return "warn";
    if (printing) return "busy";
    if (operational) return "good";
    return closedOrError ? "off" : "busy";
}

const StateChip = () => html`
    <p class=${`chip ${state.value.error && !flags.value.operational ? "bad" : kindOf(flags.value)}`} data-state role="status">
        ${state.value.text || "…"}
    </p>
`;

/** The menu closes when the focus leaves it, and by Escape. */
const leave = ({ currentTarget, relatedTarget }) => {
    if (!currentTarget.contains(relatedTarget)) currentTarget.open = false;
};
const escape = ({ key, currentTarget }) => {
    if (key !== "Escape") return;
    currentTarget.open = false;
    currentTarget.firstElementChild.focus();
};

const Me = () => html`
    <details class="menu" onFocusOut=${leave} onKeyDown=${escape}>
        <summary aria-label=${`Account: ${me.value.name}`} title="Account"><${Icon} name="user" /></summary>
        <div class="panel" tabindex="-1">
            <p>${me.value.name === "_api" ? "Here by an API key" : html`Logged in as <strong>${me.value.name}</strong>`}</p>
            ${printers.value?.length > 1 &&
            html`<ul>
                <li><a href=${root}>All printers</a></li>
                ${printers.value.map(
                    ({ id, name }) => html`<li key=${id}><a href=${pageOf(id)} aria-current=${id === namedPrinter ? "page" : undefined}>${name}</a></li>`,
                )}
            </ul>`}
            <${Button} icon="out" onClick=${logOut}>${me.value.name === "_api" ? "Forget the key" : "Log out"}<//>
        </div>
    </details>
`;

/** Told as soon as the server has not answered for a moment, until it is back. */
function Away() {
    const since = awaySince.value;
    const [now, setNow] = useState(0);
    useEffect(() => {
        if (!since) return undefined;
        setNow(Date.now());
        const timer = setInterval(() => setNow(Date.now()), 500);
        return () => clearInterval(timer);
    }, [since]);
    if (!since || now - since < 1_000) return null;
    return html`
        <div role="alert">
            <${Notice} kind="warn" title="Limpet does not answer">
                <p>
                    For ${duration((now - since) / 1000)} now; what is shown here is how things were then.
                    ${isPrinting.value && " A print goes on only while Limpet runs."} The page comes back by itself.
                </p>
            <//>
        </div>
    `;
}
