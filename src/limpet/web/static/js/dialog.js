// What lies over the page until it is answered; the emergency stop stays in reach.

import { html, useEffect, useId, useRef } from "../vendor/preact.js";
import { Stop } from "./panels/stop.js";
import { Button, Notes, Notice } from "./parts.js";

/** A dialog over the page; it keeps the focus, and Escape calls `onClose`. What is told in passing is under it and told in it as well. */
export function Dialog({ title, onClose, children, kind = "" }) {
    const ref = useRef(null);
    const id = useId();
    useEffect(() => {
        const dialog = ref.current;
        const before = document.activeElement;
        if (!dialog.open) dialog.showModal();
        // Else it would begin with the emergency stop.
        if (!dialog.querySelector("[autofocus]")) dialog.querySelector("h2").focus();
        return () => (before?.isConnected ? before : document.getElementById("main"))?.focus({ preventScroll: true });
    }, []);
    const cancel = (event) => {
        event.preventDefault();
        onClose();
    };
    return html`
        <dialog class=${`dialog ${kind}`} ref=${ref} aria-labelledby=${id} onCancel=${cancel}>
            <div class="inside">
                <header>
                    <h2 id=${id} tabindex="-1">${title}</h2>
                    <${Stop} />
                    <${Button} icon="close" label="Close" kind="quiet" onClick=${onClose} />
                </header>
                ${children}
            </div>
            <${Notes} />
        </dialog>
    `;
}

/** Reminds of a question that was put aside. */
export const Aside = ({ title, text, onAnswer }) => html`
    <${Notice} kind="warn" title=${title}>
        <p>${text}</p>
        <${Button} small onClick=${onAnswer}>Answer<//>
    <//>
`;

/** Asks once more; `onYes` may take its time. */
export function Confirm({ title, yes, no = "No", onYes, onNo, children, kind = "danger" }) {
    const confirm = async () => {
        if ((await onYes()) !== false) onNo();
    };
    return html`
        <${Dialog} title=${title} onClose=${onNo}>
            <div class="text">${children}</div>
            <div class="row end">
                <${Button} onClick=${onNo}>${no}<//>
                <${Button} kind=${kind} onClick=${confirm}>${yes}<//>
            </div>
        <//>
    `;
}
