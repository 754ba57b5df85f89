// The files: folders, search, and what can be done with each.

import { html, useEffect, useSignal } from "../../vendor/preact.js";
import { base, blob, get, hasKey, inPath, post, remove, upload } from "../api.js";
import { Confirm, Dialog } from "../dialog.js";
import { Icon } from "../icons.js";
import { attempt, Button, Card, Facts, Form, Spinner, Text } from "../parts.js";
import { folder } from "../route.js";
import { filesChanged, flags, isOperational, isPrinting, job, may, note } from "../store.js";
import { date, duration, since, size } from "../words.js";
import { command, filamentOf } from "./job.js";
import { Thumbnail } from "./thumbnail.js";
import { UploadButton } from "./uploads.js";

const PAGE = 100;
const CARD = "sdcard";

const ORDERS = {
    date: ["Newest first", (one, other) => (other.date ?? 0) - (one.date ?? 0)],
    name: ["By name", (one, other) => compare(titleOf(one), titleOf(other))],
    size: ["Largest first", (one, other) => (other.size ?? 0) - (one.size ?? 0)],
};
const compare = new Intl.Collator(undefined, { numeric: true }).compare;
const titleOf = (entry) => entry.display ?? entry.name;
const enter = (path) => (location.hash = `#/files/${inPath(path)}`);
const addressOf = (entry) => `/api/files/${entry.origin}/${inPath(entry.path)}`;

export function Files() {
    const tree = useSignal(null);
    const wanted = useSignal("");
    const order = useSignal("date");
    const shown = useSignal(PAGE);
    const creating = useSignal(false);
    const path = folder.value;
    useEffect(() => {
        get("/api/files?recursive=true").then((found) => (tree.value = found), (failure) => note(failure.message, "bad"));
    }, [filesChanged.value]);
    useEffect(() => {
        shown.value = PAGE;
    }, [path, wanted.value]);

    const search = wanted.value.trim().toLowerCase();
    const here = tree.value && entriesAt(tree.value.files, path);
    const found = tree.value && (search ? all(tree.value.files).filter((entry) => matches(entry, search)) : (here ?? []));
    const sorted = found && [...found].sort((one, other) => Number(other.type === "folder") - Number(one.type === "folder") || ORDERS[order.value][1](one, other));
    return html`
        <${Card}
            title="Files"
            kind="files"
            actions=${html`<a class="button quiet" href="#/history">Past prints</a>
                ${may("FILES_UPLOAD") && html`<${Button} icon="folderAdd" label="New folder" onClick=${() => (creating.value = true)} />
                <${UploadButton} path=${path} kind="main">Upload<//>`}`}
        >
            <div class="finder">
                <div class="with-icon">
                    <${Icon} name="search" />
                    <input type="search" aria-label="Search" placeholder="Search all files" value=${wanted.value} onInput=${({ currentTarget }) => (wanted.value = currentTarget.value)} />
                </div>
                <select aria-label="Order" value=${order.value} onChange=${({ currentTarget }) => (order.value = currentTarget.value)}>
                    ${Object.entries(ORDERS).map(([id, [name]]) => html`<option key=${id} value=${id}>${name}</option>`)}
                </select>
            </div>
            ${!search && html`<${Trail} path=${path} />`}
            ${sorted === null
                ? html`<p class="loading"><${Spinner} /></p>`
                : html`<ul class="entries">
                      ${sorted.slice(0, shown.value).map((entry) => html`<${Entry} key=${entry.origin + entry.path} entry=${entry} />`)}
                  </ul>`}
            ${sorted?.length === 0 && html`<p class="soft empty">${search ? "Nothing is called so." : !here ? "There is no such folder." : `Nothing here yet.${may("FILES_UPLOAD") ? " Drop a file on this page to upload it." : ""}`}</p>`}
            ${sorted?.length > shown.value &&
            html`<${Button} onClick=${() => (shown.value += PAGE)}>Show more<//>`}
            ${tree.value && html`<p class="soft small">${size(tree.value.free)} free of ${size(tree.value.total)}</p>`}
        <//>
        ${creating.value && html`<${NewFolder} path=${path} onClose=${() => (creating.value = false)} />`}
    `;
}

function* walk(entries) {
    for (const entry of entries) {
        yield entry;
        if (entry.children) yield* walk(entry.children);
    }
}

const all = (entries) => [...walk(entries)].filter(({ type }) => type !== "folder");
const matches = (entry, text) => titleOf(entry).toLowerCase().includes(text) || entry.path.toLowerCase().includes(text);

/** What is in a folder; null when it has gone. */
function entriesAt(files, path) {
    let entries = files;
    for (const part of path.split("/").filter(Boolean)) {
        entries = entries.find((each) => each.type === "folder" && each.name === part)?.children;
        if (!entries) return null;
    }
    return entries;
}

function Trail({ path }) {
    const parts = path.split("/").filter(Boolean);
    if (!parts.length) return null;
    return html`
        <nav class="trail row" aria-label="Folder">
            <button type="button" class="link" onClick=${() => enter("")}>All files</button>
            ${parts.map((part, at) => {
                const to = parts.slice(0, at + 1).join("/");
                return html`<span aria-hidden="true">/</span>
                    <button type="button" class="link" aria-current=${to === path ? "location" : undefined} onClick=${() => enter(to)}>${part}</button>`;
            })}
        </nav>
    `;
}

function Entry({ entry }) {
    const open = useSignal("");
    const close = () => (open.value = "");
    const isFolder = entry.type === "folder";
    const selected = job.value.file?.path === entry.path && job.value.file?.origin === entry.origin;
    const look = () => (isFolder ? enter(entry.path) : (open.value = "details"));
    return html`
        <li class=${`entry ${isFolder ? "folder" : ""} ${selected ? "selected" : ""}`}>
            <button type="button" class="open" onClick=${look}>
                <${Thumbnail} file=${entry} small />
                <span class="what">
                    <span class="title">${titleOf(entry)}</span>
                    <span class="soft small">${aboutOf(entry)}${selected ? " · selected" : ""}</span>
                </span>
            </button>
            ${!isFolder && may("PRINT") && may("FILES_SELECT") &&
            html`<${Button} icon="play" label=${`Print ${titleOf(entry)}`} disabled=${!isOperational.value || isPrinting.value} onClick=${() => (open.value = "print")} />`}
            ${may("FILES_DELETE") &&
            html`<${Button} icon="trash" kind="quiet" label=${`Delete ${titleOf(entry)}`} onClick=${() => (open.value = "delete")} />`}
            ${open.value === "details" && html`<${Details} entry=${entry} onClose=${close} onDelete=${() => (open.value = "delete")} />`}
            ${open.value === "print" &&
            html`<${Confirm} title=${`Print ${titleOf(entry)}?`} yes="Print" no="Not now" kind="main" onNo=${close} onYes=${() => print(entry)}>
                <p>The printer begins at once. Is the bed empty?</p>
            <//>`}
            ${open.value === "delete" &&
            html`<${Confirm}
                title=${`Delete ${titleOf(entry)}?`}
                yes="Delete"
                no="Keep it"
                onNo=${close}
                onYes=${() => attempt(() => remove(addressOf(entry)), `${titleOf(entry)} is deleted.`)}
            >
                <p>${isFolder ? "With all that is in it. " : ""}It cannot be had back.</p>
            <//>`}
        </li>
    `;
}

function aboutOf(entry) {
    if (entry.type === "folder") return `${entry.children?.length ?? 0} inside`;
    const time = entry.gcodeAnalysis?.estimatedPrintTime;
    const { success = 0, failure = 0 } = entry.prints ?? {};
    return [
        entry.origin === CARD && "on the printer's card",
        entry.date && since(entry.date),
        Number.isFinite(entry.size) && size(entry.size),
        time && duration(time),
        success > 0 && `printed ${success} ×`,
        failure > 0 && `failed ${failure} ×`,
    ]
        .filter(Boolean)
        .join(" · ");
}

const select = (entry) => post(addressOf(entry), { command: "select" });

function print(entry) {
    return attempt(async () => {
        await select(entry);
        if (await command("start")) location.hash = "#/";
    });
}

/** The file itself, as the browser saves it. */
async function download(entry) {
    const address = `${base}/downloads/files/local/${inPath(entry.path)}`;
    const link = document.createElement("a");
    link.download = entry.name;
    link.href = hasKey() ? URL.createObjectURL(await blob(address)) : address;
    link.click();
    if (hasKey()) setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function Details({ entry, onClose, onDelete }) {
    const moving = useSignal(false);
    const target = useSignal(entry.path);
    const idle = isOperational.value && !isPrinting.value;
    const analysis = entry.gcodeAnalysis;
    const move = async () => {
        await post(addressOf(entry), { command: "move", destination: target.value });
        onClose();
    };
    const toCard = () =>
        attempt(async () => {
            await post(addressOf(entry), { command: "uploadSd" });
            onClose();
        }, `${titleOf(entry)} is being written to the printer's card.`);
    const choose = () =>
        attempt(async () => {
            await select(entry);
            onClose();
        }, `${titleOf(entry)} is selected.`);
    return html`
        <${Dialog} title=${titleOf(entry)} onClose=${onClose}>
            <div class="about"><${Thumbnail} file=${entry} /><${Facts}
                facts=${[
                    ["Folder", entry.path.includes("/") ? entry.path.replace(/\/[^/]*$/, "") : null],
                    ["Size", Number.isFinite(entry.size) ? size(entry.size) : null],
                    ["Changed", entry.date ? date(entry.date) : null],
                    ["Print time", analysis?.estimatedPrintTime ? duration(analysis.estimatedPrintTime) : null],
                    ["Filament", filamentOf(analysis?.filament)],
                    ["Printed", entry.prints ? `${entry.prints.success ?? 0} × (${entry.prints.failure ?? 0} failed)` : null],
                    ["From", entry.user && entry.user !== "_api" ? entry.user : null],
                ]}
            /></div>
            ${moving.value &&
            html`<${Form} onSubmit=${move} submit="Move"><${Text} label="New place and name" value=${target} spellcheck=${false} required /><//>`}
            ${!idle && html`<p class="soft small">${isPrinting.value ? "A print is under way; another can begin when it has ended." : "To print it, connect the printer first."}</p>`}
            <div class="row end">
                ${may("FILES_DELETE") && html`<${Button} kind="danger" icon="trash" onClick=${onDelete}>Delete<//>`}
                ${entry.origin !== CARD && may("FILES_UPLOAD") && may("FILES_DELETE") && !moving.value &&
                html`<${Button} icon="edit" onClick=${() => (moving.value = true)}>Move<//>`}
                ${entry.origin !== CARD && may("FILES_UPLOAD") && flags.value.sdReady &&
                html`<${Button} icon="upload" disabled=${!idle} onClick=${toCard}>To the printer's card<//>`}
                ${entry.origin !== CARD && may("FILES_DOWNLOAD") && html`<${Button} icon="download" onClick=${() => attempt(() => download(entry))}>Download<//>`}
                ${may("FILES_SELECT") && html`<${Button} icon="check" disabled=${!idle} onClick=${choose}>Select<//>`}
                ${may("PRINT") && may("FILES_SELECT") && html`<${Button} kind="main" icon="play" disabled=${!idle} onClick=${() => print(entry)}>Print<//>`}
            </div>
        <//>
    `;
}

function NewFolder({ path, onClose }) {
    const name = useSignal("");
    const make = async () => {
        const form = new FormData();
        form.append("foldername", name.value.trim());
        if (path) form.append("path", path);
        await upload("/api/files/local", form, () => {});
        onClose();
    };
    return html`
        <${Dialog} title="New folder" onClose=${onClose}>
            <${Form} onSubmit=${make} submit="Make it"><${Text} label="Name" value=${name} required autofocus /><//>
        <//>
    `;
}
