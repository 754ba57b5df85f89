// Where the page begins: who is there, which printer it is about, and which view is shown.

import { html, render, useEffect, useErrorBoundary } from "../vendor/preact.js";
import { mayBeKnown, namedPrinter, root } from "./api.js";
import { styled } from "./later.js";
import * as live from "./live.js";
import { Printer } from "./panels/printer.js";
import { Shell } from "./panels/shell.js";
import { Button, Notes, Notice, Spinner } from "./parts.js";
import { recognise } from "./people.js";
import { route } from "./route.js";
import { me, printers, setupNeeded } from "./store.js";
import "./tab.js";

const Arriving = styled(() => import("./panels/arriving.js").then((found) => found.Arriving));
const Overview = styled(() => import("./panels/overview.js").then((found) => found.Overview));
const VIEWS = new Map([
    ["files", styled(() => import("./panels/files.js").then((found) => found.Files))],
    ["history", styled(() => import("./panels/history.js").then((found) => found.History))],
    ["terminal", styled(() => import("./panels/terminal.js").then((found) => found.Terminal))],
    ["settings", styled(() => import("./panels/settings.js").then((found) => found.Settings))],
]);

function View() {
    const [name] = route.value;
    const Shown = VIEWS.get(name) ?? Printer;
    return html`<${Shown} key=${name} />`;
}

function Home() {
    const all = printers.value;
    const printer = live.ourPrinter();
    const several = !namedPrinter && all?.length > 1;
    useEffect(() => {
        // Of a printer that is not there nothing can be asked.
        if (namedPrinter) live.refresh.printers().then(() => live.ourPrinter() && live.load());
        else live.load();
    }, []);
    useEffect(() => {
        if (printer && !several) live.start();
    }, [Boolean(printer), several]);
    if (!all) return html`<p class="loading"><${Spinner} /></p>`;
    if (several) return html`<${Shell}><${Overview} /><//>`;
    if (!printer) {
        return html`<${Shell}>
            <div class="lonely"><${Notice} kind="warn" title="There is no such printer">
                <p>No printer here is called “${namedPrinter}”. <a href=${root}>Here are those that are</a>.</p>
            <//></div>
        <//>`;
    }
    return html`<${Shell} printer=${printer}><${View} /><//>`;
}

function App() {
    const [failure] = useErrorBoundary((error) => console.error(error));
    if (failure) {
        return html`<div class="lonely"><${Notice} kind="bad" title="This page has a fault">
            <p>${String(failure.message ?? failure)}</p>
            <${Button} icon="refresh" onClick=${() => location.reload()}>Load it anew<//>
        <//></div>`;
    }
    if (me.value === undefined) return html`<p class="loading"><${Spinner} /></p>`;
    return html`${me.value === null ? html`<${Arriving} key=${setupNeeded.value} />` : html`<${Home} key=${me.value.name} />`}<${Notes} />`;
}

async function begin() {
    const known = recognise();
    if (mayBeKnown()) live.begin();
    try {
        await known;
    } catch {
        setTimeout(begin, 1_000);
    }
}

/** Where no file is taken the browser would show it in place of the page. */
function refuse(event) {
    if (event.defaultPrevented || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "none";
}

for (const kind of ["dragover", "drop"]) addEventListener(kind, refuse);
render(html`<${App} />`, document.getElementById("page"));
begin();
