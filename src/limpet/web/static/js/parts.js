// The small parts that all views are made of.

import { html, useId, useState } from "../vendor/preact.js";
import { Icon } from "./icons.js";
import { dismiss, note, notes } from "./store.js";

/** Do what a person has asked for; what goes wrong is told in passing. Whether it went well. */
export async function attempt(deed, done) {
    try {
        await deed();
        if (done) note(done);
        return true;
    } catch (failure) {
        note(failure.message, "bad");
        return false;
    }
}

/** `kind`: main, quiet, danger or plain. While what `onClick` returns is under way it cannot be pressed again. */
export function Button({ icon, label, kind = "plain", onClick, disabled, children, small, place = "", ...more }) {
    const [busy, setBusy] = useState(false);
    const press = async (event) => {
        // Not disabled: that would take the focus away from whoever presses it by a key.
        if (busy) {
            event.preventDefault();
            return;
        }
        const deed = onClick?.(event);
        if (!deed?.then) return;
        setBusy(true);
        await deed;
        setBusy(false);
    };
    const bare = !children;
    return html`
        <button
            type=${more.type ?? "button"}
            class=${`button ${kind} ${bare ? "bare" : ""} ${small ? "small" : ""} ${place}`}
            aria-label=${bare ? label : undefined}
            title=${bare ? label : more.title}
            aria-busy=${busy || undefined}
            disabled=${disabled}
            onClick=${press}
            ...${more}
        >
            ${icon && html`<${Icon} name=${icon} />`}${children && html`<span>${children}</span>`}
        </button>
    `;
}

/** A form whose fields hold on to what was typed; `onSubmit` may take its time, and what it throws is told in it. */
export function Form({ onSubmit, submit, icon, children, extra, disabled, label }) {
    const [busy, setBusy] = useState(false);
    const [error, setError] = useState("");
    const send = async (event) => {
        event.preventDefault();
        setBusy(true);
        setError("");
        try {
            await onSubmit();
        } catch (failure) {
            setError(failure.message);
        }
        setBusy(false);
    };
    return html`
        <form class="form" onSubmit=${send} aria-label=${label} novalidate=${false}>
            ${children}
            ${error && html`<p class="error" role="alert">${error}</p>`}
            <div class="row end">
                ${extra}
                <button class="button main" disabled=${busy || disabled} aria-busy=${busy || undefined}>
                    ${icon && html`<${Icon} name=${icon} />`}<span>${submit}</span>
                </button>
            </div>
        </form>
    `;
}

/** A label above whatever `children` makes of its id; `hint` is told with it. */
export function Labelled({ label, hint, children, wide }) {
    const id = useId();
    return html`
        <div class=${`field ${wide ? "wide" : ""}`}>
            <label for=${id}>${label}</label>
            ${children(id, hint ? `${id}-hint` : undefined)}
            ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
        </div>
    `;
}

/** `value` is a signal. */
export const Text = ({ label, hint, value, wide, type = "text", ...more }) => html`
    <${Labelled} label=${label} hint=${hint} wide=${wide}>
        ${(id, described) => html`
            <input
                id=${id}
                type=${type}
                value=${value.value ?? ""}
                aria-describedby=${described}
                onInput=${(event) => (value.value = event.currentTarget.value)}
                ...${more}
            />
        `}
    <//>
`;

/** `options` are `[value, text]`; values are texts. */
export const Choice = ({ label, hint, value, options, wide, ...more }) => html`
    <${Labelled} label=${label} hint=${hint} wide=${wide}>
        ${(id, described) => html`
            <select
                id=${id}
                value=${value.value}
                aria-describedby=${described}
                onChange=${(event) => (value.value = event.currentTarget.value)}
                ...${more}
            >
                ${options.map(
                    ([key, text]) => html`<option key=${key} value=${key} selected=${key === value.value}>${text}</option>`,
                )}
            </select>
        `}
    <//>
`;

/** On or off; `value` is a signal, or `on` and `onChange` are given. */
export function Switch({ label, hint, value, on, onChange, disabled }) {
    const id = useId();
    return html`
        <div class="switch">
            <input
                type="checkbox"
                role="switch"
                id=${id}
                checked=${value ? value.value : on}
                disabled=${disabled}
                aria-describedby=${hint ? `${id}-hint` : undefined}
                onChange=${({ currentTarget }) =>
                    value ? (value.value = currentTarget.checked) : onChange(currentTarget.checked)}
            />
            <label for=${id}>${label}</label>
            ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
        </div>
    `;
}

export function Card({ title, icon, actions, children, kind = "", level = 2 }) {
    const id = useId();
    return html`
        <section class=${`card ${kind}`} aria-labelledby=${id}>
            <header>
                ${level === 2 ? html`<h2 id=${id}>${title}</h2>` : html`<h3 id=${id}>${title}</h3>`}
                ${actions && html`<div class="row">${actions}</div>`}
            </header>
            ${children}
        </section>
    `;
}

/** Something to be told in a box: `kind` is good, bad, warn or info. */
export const Notice = ({ kind = "info", title, children, live }) => html`
    <div class=${`notice ${kind}`} role=${live ? "status" : undefined}>
        <${Icon} name=${kind === "good" ? "check" : kind === "info" ? "info" : "warning"} />
        <div>${title && html`<strong>${title}</strong>`}${children}</div>
    </div>
`;

/** What is told in passing. */
export const Notes = () => html`
    <div class="notes" role="status" aria-live="polite">
        ${notes.value.map(
            ({ id, text, kind }) => html`
                <div key=${id} class=${`note ${kind}`}>
                    <${Icon} name=${kind === "bad" ? "warning" : "check"} />
                    <span>${text}</span>
                    <${Button} icon="close" label="Dismiss" kind="quiet" small onClick=${() => dismiss(id)} />
                </div>
            `,
        )}
    </div>
`;

/** A bar; `fraction` from 0 to 1, null when nobody knows. */
export const Bar = ({ fraction, label }) => html`
    <progress class="bar" aria-label=${label} max="1" value=${fraction ?? undefined}></progress>
`;

export const Spinner = () => html`<span class="spinner" aria-hidden="true"></span>`;

/** A list of names and what they are. */
export const Facts = ({ facts }) => html`
    <dl class="facts">
        ${facts
            .filter(([, value]) => value !== null && value !== undefined && value !== "")
            .map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
    </dl>
`;
