// Where the page begins: who is there, which printer it is about, and which view is shown.

import { html, render, useEffect, useErrorBoundary, useState } from "../vendor/preact.js";
import { namedPrinter } from "./api.js";
import * as live from "./live.js";
import { Asking } from "./panels/appkeys.js";
import { Arriving } from "./panels/arriving.js";
import { Printer } from "./panels/printer.js";
import { Shell } from "./panels/shell.js";
import { Button, Notes, Notice, Spinner } from "./parts.js";
import { recognise } from "./people.js";
import { route } from "./route.js";
import { me, note, printers, setupNeeded } from "./store.js";
import "./tab.js";

/** Views that are loaded when they are first shown. */
const LATER = {
    files: () => import("./panels/files.js").then(({ Files }) => Files),
    terminal: () => import("./panels/terminal.js").then(({ Terminal }) => Terminal),
    settings: () => import("./panels/settings.js").then(({ Settings }) => Settings),
    overview: () => import("./panels/overview.js").then(({ Overview }) => Overview),
};
const loaded = {};

function Later({ view }) {
    const [, draw] = useState(0);
    useEffect(() => {
        if (loaded[view]) return;
        LATER[view]().then(
            (found) => {
                loaded[view] = found;
                draw((count) => count + 1);
            },
            () => note("This part of the page could not be loaded. Load the page anew.", "bad"),
        );
    }, [view]);
    const View = loaded[view];
    return View ? html`<${View} />` : html`<p class="loading"><${Spinner} /></p>`;
}

function View() {
    const [view] = route.value;
    return LATER[view] ? html`<${Later} key=${view} view=${view} />` : html`<${Printer} />`;
}

function Home() {
    const all = printers.value;
    useEffect(() => {
        live.loadPrinters().catch((failure) => note(failure.message, "bad"));
    }, []);
    const printer = live.ourPrinter();
    const several = !namedPrinter && all?.length > 1;
    useEffect(() => {
        if (printer && !several) live.start();
    }, [Boolean(printer), several]);
    if (!all) return html`<p class="loading"><${Spinner} /></p>`;
    if (several) return html`<${Shell}><${Later} view="overview" /><//>`;
    if (!printer) {
        return html`<${Shell}>
            <div class="lonely"><${Notice} kind="warn" title="There is no such printer">
                <p>No printer here is called “${namedPrinter}”. <a href="/">Here are those that are</a>.</p>
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
    return html`${me.value === null ? html`<${Arriving} key=${setupNeeded.value} />` : html`<${Home} key=${me.value.name} /><${Asking} />`}<${Notes} />`;
}

async function begin() {
    try {
        await recognise();
    } catch {
        setTimeout(begin, 1_000);
    }
}

render(html`<${App} />`, document.getElementById("page"));
begin();
