// Which ports there are, what each is, and who holds it.

import { html, useEffect } from "../../../vendor/preact.js";
import { refresh } from "../../live.js";
import { Card, Facts } from "../../parts.js";
import { ports, printers } from "../../store.js";

const INTERVAL = 3_000;
const ROLES = { printer: "a printer, or its board", native: "a board with USB of its own", adapter: "a serial adapter", other: "something else" };

export function Ports() {
    useEffect(() => {
        refresh.ports();
        const timer = setInterval(() => !document.hidden && refresh.ports(), INTERVAL);
        return () => clearInterval(timer);
    }, []);
    return html`
        <${Card} title="Ports">
            <ul class="rows">${ports.value.map((port) => html`<li key=${port.path}><${Port} port=${port} /></li>`)}</ul>
            <p class="soft small">More of them, or fewer: <code>ports.added</code> and <code>ports.ignored</code> in <code>limpet.toml</code>.</p>
        <//>
    `;
}

const Port = ({ port }) => html`
    <h3>${port.description}</h3>
    <${Facts}
        facts=${[
            ["Name", port.path],
            ["It is", ROLES[port.role]],
            ["USB", port.vendor_id ? `${port.vendor_id}:${port.product_id}` : null],
            ["Serial number", port.serial_number],
            ["Driver", port.driver],
            ["In use by", port.printer ? nameOf(port.printer) : port.holder ? `${port.holder.name} (${port.holder.pid})` : null],
            ["Name that stays", port.stable_name],
        ]}
    />
`;

const nameOf = (id) => printers.value?.find((each) => each.id === id)?.name ?? id;
