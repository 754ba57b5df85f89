// Where the page begins: who is there, which printer it is about, and which view is shown.

import { html, render, useEffect, useErrorBoundary, useState } from "../vendor/preact.js";
import { namedPrinter, root } from "./api.js";
import * as live from "./live.js";
import { Asking } from "./panels/appkeys.js";
import { Printer } from "./panels/printer.js";
import { Shell } from "./panels/shell.js";
import { Button, Notes, Notice, Spinner } from "./parts.js";
import { recognise } from "./people.js";
import { route } from "./route.js";
import { style } from "./style.js";
import { me, note, printers, setupNeeded } from "./store.js";
import "./tab.js";

/** Once the styles are there as well. */
const styled = (view, pick) => Promise.all([view, style("more.css")]).then(([found]) => pick(found));
/** Views that are loaded when they are first shown. */
const LATER = {
    arriving: () => import("./panels/arriving.js").then(({ Arriving }) => Arriving),
    files: () => styled(import("./panels/files.js"), ({ Files }) => Files),
    terminal: () => styled(import("./panels/terminal.js"), ({ Terminal }) => Terminal),
    settings: () => styled(import("./panels/settings.js"), ({ Settings }) => Settings),
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
    return ["files", "terminal", "settings"].includes(view) ? html`<${Later} key=${view} view=${view} />` : html`<${Printer} />`;
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
    if (several) return html`<${Shell}><${Later} view="overview" /><//>`;
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
    return html`${me.value === null ? html`<${Later} key=${setupNeeded.value} view="arriving" />` : html`<${Home} key=${me.value.name} /><${Asking} />`}<${Notes} />`;
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
