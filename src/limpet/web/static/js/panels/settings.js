// The settings that Limpet has, one section at a time.

import { html, useEffect, useRef } from "../../vendor/preact.js";
import { route } from "../route.js";
import { may } from "../store.js";
import { General } from "./settings/general.js";
import { Keys } from "./settings/keys.js";
import { Ports } from "./settings/ports.js";
import { Printers } from "./settings/printers.js";
import { Profiles } from "./settings/profiles.js";
import { Account, Users } from "./settings/users.js";

const SECTIONS = [
    ["account", "Account", null, Account],
    ["general", "General", "SETTINGS", General],
    ["printers", "Printers", "SETTINGS", Printers],
    ["profiles", "Profiles", "SETTINGS", Profiles],
    ["ports", "Ports", "CONNECTION", Ports],
    ["users", "Users", "ADMIN", Users],
    ["keys", "Keys", null, Keys],
];

export function Settings() {
    const sections = SECTIONS.filter(([, , permission]) => !permission || may(permission));
    const [, wanted] = route.value;
    const [id, , , Section] = sections.find(([each]) => each === wanted) ?? sections[0];
    const bar = useRef(null);
    useEffect(() => bar.current.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }), [id]);
    return html`
        <div class="settings">
            <nav class="sections" aria-label="Settings" ref=${bar}>
                ${sections.map(
                    ([each, name]) => html`<a key=${each} href=${`#/settings/${each}`} aria-current=${each === id ? "page" : undefined}>${name}</a>`,
                )}
            </nav>
            <div class="column"><${Section} key=${id} /></div>
        </div>
    `;
}
