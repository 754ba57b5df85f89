// Files on their way in: by a button, or dropped anywhere on the page.

import { html, signal, useEffect, useRef, useSignal } from "../../vendor/preact.js";
import { upload } from "../api.js";
import { Bar, Button } from "../parts.js";
import { isOperational, isPrinting, may, note } from "../store.js";
import { percent } from "../words.js";
import { folder, route } from "../route.js";

const KINDS = ".gcode,.gco,.g";
const underWay = signal([]);
let last = 0;

const change = (id, changes) =>
    (underWay.value = underWay.value.map((each) => (each.id === id ? { ...each, ...changes } : each)));
const end = (id) => (underWay.value = underWay.value.filter((each) => each.id !== id));

/** One after the other; the last one becomes the file of the job if `select`. */
export async function send(files, { select = false, path = "" } = {}) {
    const begun = [...files].map((file) => ({ id: ++last, file, name: file.name, fraction: 0, stop: null }));
    underWay.value = [...underWay.value, ...begun];
    for (const { id, file, name } of begun) {
        if (!underWay.value.some((each) => each.id === id)) continue;
        const form = new FormData();
        if (path) form.append("path", path);
        if (select && id === begun[begun.length - 1].id) form.append("select", "true");
        form.append("file", file, name);
        try {
            await upload("/api/files/local", form, (fraction) => change(id, { fraction }), (stop) => change(id, { stop }));
            note(`${name} is there.`);
        } catch (failure) {
            note(`${name}: ${failure.message}`, "bad");
        }
        end(id);
    }
}

export function UploadButton({ select = false, path = "", kind = "plain", children = "Upload a file" }) {
    const input = useRef(null);
    const take = ({ currentTarget }) => {
        send(currentTarget.files, { select: select && isOperational.value && !isPrinting.value, path });
        currentTarget.value = "";
    };
    return html`
        <input type="file" hidden multiple accept=${KINDS} ref=${input} onChange=${take} aria-label="Files to upload" />
        <${Button} icon="upload" kind=${kind} onClick=${() => input.current.click()}>${children}<//>
    `;
}

/** Lies over the page while a file is held above it, and shows what is on its way. */
export function Uploads() {
    const above = useSignal(false);
    useEffect(() => {
        if (!may("FILES_UPLOAD")) return undefined;
        let depth = 0;
        const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
        const over = (event) => {
            if (!hasFiles(event)) return;
            event.preventDefault();
            event.dataTransfer.dropEffect = "copy";
        };
        const enter = (event) => {
            if (hasFiles(event)) above.value = ++depth > 0;
        };
        const leave = (event) => {
            if (hasFiles(event)) above.value = --depth > 0;
        };
        const drop = (event) => {
            if (!hasFiles(event)) return;
            event.preventDefault();
            depth = 0;
            above.value = false;
            const inList = route.value[0] === "files";
            send(event.dataTransfer.files, {
                path: folder.value,
                select: !inList && isOperational.value && !isPrinting.value,
            });
        };
        const all = { dragover: over, dragenter: enter, dragleave: leave, drop };
        for (const [name, listener] of Object.entries(all)) addEventListener(name, listener);
        return () => {
            for (const [name, listener] of Object.entries(all)) removeEventListener(name, listener);
        };
    }, []);
    return html`
        ${above.value && html`<div class="drop"><p>Drop it, and it is uploaded</p></div>`}
        ${underWay.value.length > 0 &&
        html`<section class="card uploads" aria-label="Uploads">
            ${underWay.value.map(
                ({ id, name, fraction, stop }) => html`
                    <div key=${id}>
                        <p class="row between"><span class="cut">${name}</span><span class="number">${percent(fraction)}</span></p>
                        <div class="with">
                            <${Bar} fraction=${fraction} label=${`Upload of ${name}`} />
                            <${Button} icon="close" small kind="quiet" label=${`Stop the upload of ${name}`} onClick=${() => (stop ? stop() : end(id))} />
                        </div>
                    </div>
                `,
            )}
        </section>`}
    `;
}
