// The job: which file, how far it is, and when it will be done.

import { html, signal, useEffect, useLayoutEffect, useSignal } from "../../vendor/preact.js";
import { base, get, inPath, post } from "../api.js";
import { Confirm } from "../later.js";
import { attempt, Bar, Button, Card, Facts, Notice } from "../parts.js";
import { connection, filesChanged, flags, fraction, height, isOperational, isPrinting, job, lastPrint, may, progress, state } from "../store.js";
import { clock, duration, finePercent, percent, plain, size, tenths, whole } from "../words.js";
import { Thumbnail } from "./thumbnail.js";
import { UploadButton } from "./uploads.js";

export const command = (name, more = {}) => attempt(() => post("/api/job", { command: name, ...more }));

export function Job() {
    const { file } = job.value;
    if (isPrinting.value) {
        return html`<${Card} title=${state.value.text} kind="job"><${About} file=${file} /><${Progress} /><//>`;
    }
    return html`
        <${Card} title="Job" kind="job">
            <${Last} />
            ${file?.path ? html`<${About} file=${file} /><${Ready} />` : html`<${NoFile} />`}
        <//>
    `;
}

const SEEN = `limpet.seen${base}`;
const seen = signal(localStorage.getItem(SEEN));

/** How the last print ended, when that was not as it should have been; it may go on if it was lost. */
export function Last() {
    const last = lastPrint.value;
    if (!last || last.outcome !== "failed" || seen.value === String(last.endedAt)) return null;
    const goOn = () => command("recover");
    const dismiss = () => {
        seen.value = String(last.endedAt);
        localStorage.setItem(SEEN, seen.value);
    };
    return html`
        <${Notice} kind="bad" title=${`${last.file.display ?? last.file.name} was not finished`}>
            <p>${last.message}, ${clock(last.endedAt)}.</p>
            ${last.hint && html`<p>${last.hint}</p>`}
            <div class="row">
                ${last.hint && may("PRINT") && html`<${Button} small icon="play" disabled=${!isOperational.value} onClick=${goOn}>Go on with it<//>`}
                <${Button} small kind="quiet" onClick=${dismiss}>Dismiss<//>
            </div>
        <//>
    `;
}

const NoFile = () => html`
    <p class="soft">No file is selected.${may("FILES_UPLOAD") && " Drop one anywhere on this page to upload it."}</p>
    <div class="row">
        ${may("FILES_UPLOAD") && html`<${UploadButton} select=${true} kind="main" />`}
        ${may("FILES_LIST") && may("FILES_SELECT") && html`<a class="button" href="#/files">Choose a file</a>`}
    </div>
`;

/** What is known about the file besides its name; null before it is. */
function useDetails(file) {
    const details = useSignal(null);
    useEffect(() => {
        details.value = null;
        if (!file.path || !file.origin || !may("FILES_LIST")) return;
        get(`/api/files/${file.origin}/${inPath(file.path)}`).then((found) => (details.value = found), () => {});
    }, [file.origin, file.path, file.date, filesChanged.value]);
    return details.value;
}

function About({ file }) {
    const details = useDetails(file);
    const analysis = details?.gcodeAnalysis;
    const estimate = job.value.estimatedPrintTime ?? analysis?.estimatedPrintTime;
    return html`
        <div class="about">
            <${Thumbnail} file=${details} />
            <div>
                <p class="lead">${file.display ?? file.name ?? "A print from the printer's own card"}</p>
                <p class="soft small">
                    ${[
                        file.origin === "sdcard" && "on the printer's card",
                        file.size && size(file.size),
                        estimate && `about ${duration(estimate)}`,
                        filamentOf(job.value.filament ?? analysis?.filament),
                    ]
                        .filter(Boolean)
                        .join(" · ")}
                </p>
            </div>
        </div>
    `;
}

export function filamentOf(tools) {
    const lengths = Object.values(tools ?? {}).map((tool) => tool?.length).filter(Number.isFinite);
    const all = lengths.reduce((sum, each) => sum + each, 0);
    if (!(all >= 1)) return "";
    return all < 1000 ? `${whole(all)} mm of filament` : `${tenths(all / 1000)} m of filament`;
}

function Ready() {
    const { completion, printTime } = progress.value;
    const done = completion === 100 && printTime !== null;
    const allowed = may("PRINT") && isOperational.value;
    return html`
        ${done && html`<p>Printed in ${duration(printTime)}.</p>`}
        <div class="row">
            <${Button} kind="main" icon="play" disabled=${!allowed} onClick=${() => command("start")}>${done ? "Print again" : "Print"}<//>
            ${may("FILES_SELECT") &&
            html`<${Button} onClick=${() => attempt(() => post(`/api/files/${job.value.file.origin}/${inPath(job.value.file.path)}`, { command: "unselect" }))}>Deselect<//>`}
        </div>
    `;
}

function Progress() {
    const { printTime, printTimeLeft, layer, layers, z = height.value } = progress.value;
    const done = fraction.value;
    const ends = Number.isFinite(printTimeLeft) && !flags.value.paused ? clock(Date.now() / 1000 + printTimeLeft) : null;
    return html`
        <div class="progress">
            <p class="percent number">${done === null ? "…" : (done < 0.1 ? finePercent : percent)(done)}</p>
            <${Bar} fraction=${done} label="Progress of the print" />
        </div>
        <${Facts}
            facts=${[
                ["Time left", Number.isFinite(printTimeLeft) ? duration(printTimeLeft) : done === null ? null : html`<span class="soft">…</span>`],
                ["Done at", ends],
                ["Printing for", Number.isFinite(printTime) ? duration(printTime) : null],
                ["Layer", !Number.isFinite(layer) ? null : layers ? `${whole(layer)} of ${whole(layers)}` : whole(layer)],
                ["Height", Number.isFinite(z) ? `${plain(z)} mm` : null],
            ]}
        />
        ${may("PRINT") && html`<${Brakes} />`}
    `;
}

/** A second press within so many milliseconds is one of the same thing. */
const TWICE = 1_000;

/** Pause, resume and cancel; what cannot be undone is asked once more. */
function Brakes() {
    const [asking, again, rested] = [useSignal(false), useSignal(false), useSignal(false)];
    const { paused, pausing, cancelling, resuming, finishing } = flags.value;
    const busy = pausing || cancelling || resuming || finishing;
    // "Resume" takes the place of "Pause": whoever presses that twice does not mean it.
    useLayoutEffect(() => {
        rested.value = false;
        const timer = setTimeout(() => (rested.value = true), TWICE);
        return () => clearTimeout(timer);
    }, [paused]);
    // What the printer prints from its own card was not started here, and only its own commands reach it.
    const ofCard = Boolean(connection.value?.current.sdPrint);
    return html`
        <div class="row">
            ${paused
                ? html`<${Button} kind="main" icon="play" disabled=${!rested.value} onClick=${() => command("pause", { action: "resume" })}>Resume<//>`
                : html`<${Button} icon="pause" disabled=${busy} onClick=${() => command("pause", { action: "pause" })}>Pause<//>`}
            ${paused && !ofCard && html`<${Button} icon="refresh" onClick=${() => (again.value = true)}>Start over<//>`}
            <${Button} kind="danger" icon="close" disabled=${cancelling} onClick=${() => (asking.value = true)}>Cancel<//>
        </div>
        ${asking.value &&
        html`<${Confirm}
            title="Cancel the print?"
            yes="Cancel the print"
            no="Go on printing"
            onYes=${() => command("cancel")}
            onNo=${() => (asking.value = false)}
        >
            <p>${job.value.file?.display ?? "The print"} cannot be taken up again after that.</p>
        <//>`}
        ${again.value &&
        html`<${Confirm} title="Start over?" yes="Start over" onYes=${() => command("restart")} onNo=${() => (again.value = false)}>
            <p>The print begins anew, at its first layer. Is the bed empty?</p>
        <//>`}
    `;
}
