// The printers: added, changed and removed while Limpet runs.

import { html, useSignal } from "../../../vendor/preact.js";
import { namedPrinter, pageOf, patch, post, remove } from "../../api.js";
import { Confirm, Dialog } from "../../dialog.js";
import { refresh } from "../../live.js";
import { attempt, Button, Card, Choice, Form, Switch, Text } from "../../parts.js";
import { route } from "../../route.js";
import { connection, note, printers } from "../../store.js";
import { useFreshPrinters } from "../overview.js";
import { idOf } from "./ids.js";

const RESETS = [
    ["auto", "Once after it was plugged in"],
    ["yes", "Each time"],
    ["no", "Not by Limpet"],
];

export function Printers() {
    useFreshPrinters();
    const open = useSignal(route.value[2] === "add" ? { add: true } : null);
    const all = printers.value ?? [];
    const close = () => {
        open.value = null;
        if (route.value[2]) location.replace("#/settings/printers");
    };
    return html`
        <${Card} title="Printers" actions=${html`<${Button} icon="add" small onClick=${() => (open.value = { add: true })}>Add a printer<//>`}>
            <ul class="rows">
                ${all.map(
                    (printer) => html`<li key=${printer.id} class="row between">
                        <div>
                            <h3><a href=${pageOf(printer.id)}>${printer.name}</a>${printer.default && html` <span class="tag">default</span>`}</h3>
                            <p class="soft small">${printer.state} · ${printer.preferences.port ?? "port detected"} · ${printer.preferences.baudrate ?? "baudrate detected"}</p>
                        </div>
                        <div class="row">
                            <${Button} icon="edit" small label=${`Change ${printer.name}`} onClick=${() => (open.value = { change: printer })} />
                            <${Button} icon="trash" small kind="quiet" label=${`Remove ${printer.name}`} disabled=${printer.default} onClick=${() => (open.value = { remove: printer })} />
                        </div>
                    </li>`,
                )}
            </ul>
        <//>
        ${open.value?.add && html`<${Printer} onClose=${close} />`}
        ${open.value?.change && html`<${Printer} printer=${open.value.change} onClose=${close} />`}
        ${open.value?.remove &&
        html`<${Confirm}
            title=${`Remove ${open.value.remove.name}?`}
            yes="Remove"
            onNo=${close}
            onYes=${() =>
                attempt(async () => {
                    await remove(`/api/limpet/printers/${open.value.remove.id}`);
                    await refresh.printers();
                })}
        >
            <p>It is disconnected, and what was learnt about it is forgotten. Files stay.</p>
        <//>`}
    `;
}

function Printer({ printer, onClose }) {
    const options = connection.value?.options ?? { ports: [], baudrates: [], printerProfiles: [] };
    const { preferences } = printer ?? { preferences: {} };
    const name = useSignal(printer?.name ?? "");
    const port = useSignal(preferences.port ?? "AUTO");
    const rate = useSignal(String(preferences.baudrate ?? 0));
    const profile = useSignal(printer?.profile ?? "_default");
    const autoconnect = useSignal(preferences.autoconnect ?? false);
    const reconnect = useSignal(preferences.reconnect ?? true);
    const reset = useSignal(preferences.reset ?? "auto");
    const asDefault = useSignal(printer?.default ?? false);
    const id = printer?.id ?? idOf(name.value, printers.value.map((each) => each.id), "printer");
    const names = [...new Set([...options.ports, ...(preferences.port ? [preferences.port] : [])])];

    const save = async () => {
        const common = { name: name.value.trim(), port: port.value, baudrate: Number(rate.value), profile: profile.value, autoconnect: autoconnect.value };
        if (printer) {
            const first = asDefault.value && !printer.default ? { default: true } : {};
            await patch(`/api/limpet/printers/${id}`, { ...common, reconnect: reconnect.value, reset: reset.value, ...first });
        } else {
            const first = printers.value.find((each) => each.default);
            await post("/api/limpet/printers", { id, ...common });
            // From now on the overview is at the root, and the settings are beside a printer.
            if (!namedPrinter) return location.assign(`${pageOf(first.id)}#/settings/printers`);
        }
        await refresh.printers();
        await refresh.connection();
        note("Saved.");
        return onClose();
    };
    return html`
        <${Dialog} title=${printer ? printer.name : "A new printer"} onClose=${onClose}>
            <${Form} label="Printer" submit="Save" onSubmit=${save}>
                <${Text} label="Name" value=${name} required maxlength="64" autofocus
                    hint=${printer ? `Its address is ${pageOf(id)}` : name.value.trim() ? `Its address will be ${pageOf(id)}` : undefined} />
                <div class="pair">
                    <${Choice} label="Port of the printer" value=${port} options=${[["AUTO", "Automatic"], ...names.map((each) => [each, each])]} />
                    <${Choice} label="Baudrate of the printer" value=${rate} options=${[["0", "Automatic"], ...options.baudrates.map((each) => [String(each), String(each)])]} />
                </div>
                <${Choice} label="Profile" value=${profile} options=${options.printerProfiles.map((each) => [each.id, each.name])} />
                <${Switch} label="Connect when Limpet starts" value=${autoconnect} />
                ${printer &&
                html`
                    <${Switch} label="Wait for it when it was unplugged" value=${reconnect} />
                    <${Choice} label="Connecting restarts the board" value=${reset} options=${RESETS} />
                    <${Switch} label="The default printer, which is at / as well" value=${asDefault} disabled=${printer.default} />
                `}
            <//>
        <//>
    `;
}
