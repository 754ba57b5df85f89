// The prints there have been.

import { html, useEffect, useSignal } from "../../vendor/preact.js";
import { get, remove } from "../api.js";
import { Confirm } from "../dialog.js";
import { Icon } from "../icons.js";
import { attempt, Button, Card, Notice, Spinner } from "../parts.js";
import { filesChanged, lastPrint, may, note } from "../store.js";
import { date, duration } from "../words.js";
import { filamentOf } from "./job.js";

const PAGE = 50;
const OUTCOMES = { done: ["good", "check", "Printed"], cancelled: ["warn", "close", "Cancelled"], failed: ["bad", "warning", "Failed"] };

export function History() {
    const [prints, total, fault] = [useSignal(null), useSignal(0), useSignal(null)];
    const forgetting = useSignal(null);
    const load = async (offset) => {
        const found = await get(`/api/limpet/history?limit=${PAGE}&offset=${offset}`).catch((failure) => note(failure.message, "bad"));
        if (!found) return;
        prints.value = offset ? [...prints.value, ...found.prints] : found.prints;
        total.value = found.total;
        fault.value = found.fault;
    };
    // The newest one is another as soon as a print has begun or ended; files count as changed when the server is back.
    useEffect(() => {
        load(0);
    }, [lastPrint.value, filesChanged.value]);
    const forget = () =>
        attempt(async () => {
            await remove(`/api/limpet/history${forgetting.value.id ? `/${forgetting.value.id}` : ""}`);
            await load(0);
        });
    return html`
        <${Card}
            title="Past prints"
            kind="history"
            actions=${html`<a class="button quiet" href="#/files">Files</a>
                ${may("FILES_DELETE") && prints.value?.length > 0 && html`<${Button} icon="trash" small onClick=${() => (forgetting.value = {})}>Forget all<//>`}`}
        >
            ${fault.value && html`<${Notice} kind="warn" title="Prints are not kept at the moment"><p>${fault.value}</p><//>`}
            ${!prints.value && html`<p class="loading"><${Spinner} /></p>`}
            ${prints.value?.length === 0 && html`<p class="soft empty">Nothing has been printed yet.</p>`}
            <ul class="rows">
                ${prints.value?.map((print) => html`<li key=${print.id} class="row between"><${Print} print=${print} onForget=${() => (forgetting.value = print)} /></li>`)}
            </ul>
            ${prints.value?.length < total.value && html`<${Button} onClick=${() => load(prints.value.length)}>Show more<//>`}
        <//>
        ${forgetting.value &&
        html`<${Confirm}
            title=${forgetting.value.id ? "Forget this print?" : "Forget all prints of this printer?"}
            yes="Forget"
            onYes=${forget}
            onNo=${() => (forgetting.value = null)}
        >
            <p>The files stay.</p>
        <//>`}
    `;
}

function Print({ print, onForget }) {
    const [kind, icon, word] = OUTCOMES[print.outcome] ?? ["busy", "play", "Under way"];
    return html`
        <div class="past">
            <p class=${`outcome ${kind}`}><${Icon} name=${icon} /><span class="unseen">${word}</span></p>
            <div>
                <h3>${print.file.display ?? print.file.path}</h3>
                <p class="soft small">
                    ${[word, date(print.startedAt), duration(print.printTime), filamentOf(print.filament), print.user && print.user !== "_api" && `by ${print.user}`]
                        .filter(Boolean)
                        .join(" · ")}
                </p>
                ${print.message && print.outcome === "failed" && html`<p class="small">${print.message}</p>`}
            </div>
        </div>
        ${may("FILES_DELETE") && print.outcome && html`<${Button} icon="trash" small kind="quiet" label=${`Forget the print of ${print.file.path}`} onClick=${onForget} />`}
    `;
}
