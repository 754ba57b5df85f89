// One's own password, and the users.

import { html, useSignal } from "../../../vendor/preact.js";
import { post, put, remove } from "../../api.js";
import { Confirm, Dialog } from "../../dialog.js";
import { attempt, Button, Card, Facts, Form, Switch, Text } from "../../parts.js";
import { me, note } from "../../store.js";
import { useAnswer } from "./loading.js";

const pathOf = (name) => `/api/access/users/${encodeURIComponent(name)}`;
const isUser = () => me.value.name !== "_api";

export const Account = () => html`
    <${Card} title="Account">
        <${Facts} facts=${[["Name", isUser() ? me.value.name : "an API key"], ["Groups", me.value.groups.join(", ") || "none"]]} />
    <//>
    ${isUser() && html`<${Card} title="Password"><${Password} name=${me.value.name} own /><//>`}
`;

function Password({ name, own, onDone }) {
    const [current, password, again] = [useSignal(""), useSignal(""), useSignal("")];
    const save = async () => {
        if (password.value !== again.value) throw new Error("The two passwords are not the same.");
        await put(`${pathOf(name)}/password`, { password: password.value, ...(own ? { current: current.value } : {}) });
        current.value = password.value = again.value = "";
        note(own ? "The password is changed; your other sessions have ended." : "The password is changed.");
        onDone?.();
    };
    return html`
        <${Form} label="Password" submit="Change" onSubmit=${save}>
            <input type="text" hidden autocomplete="username" value=${name} readonly />
            ${own && html`<${Text} label="Present password" type="password" required value=${current} autocomplete="current-password" />`}
            <${Text} label="New password" hint="At least 8 characters" type="password" required minlength="8" value=${password} autocomplete="new-password" />
            <${Text} label="New password again" type="password" required value=${again} autocomplete="new-password" />
        <//>
    `;
}

export function Users() {
    const [answer, again] = useAnswer("/api/access/users");
    const open = useSignal(null);
    const close = () => {
        open.value = null;
        again();
    };
    return html`
        <${Card} title="Users" actions=${html`<${Button} icon="add" small onClick=${() => (open.value = { add: true })}>Add a user<//>`}>
            <ul class="rows">
                ${(answer?.users ?? []).map(
                    (user) => html`<li key=${user.name} class="row between">
                        <div>
                            <h3>${user.name}${!user.active && html` <span class="tag">may not log in</span>`}</h3>
                            <p class="soft small">${user.groups.filter((group) => group !== "guests").join(", ") || "no group"}</p>
                        </div>
                        <div class="row">
                            <${Button} icon="edit" small label=${`Change ${user.name}`} onClick=${() => (open.value = { change: user })} />
                            <${Button} icon="key" small label=${`Password of ${user.name}`} disabled=${user.name === me.value.name} onClick=${() => (open.value = { password: user })} />
                            <${Button} icon="trash" small kind="quiet" label=${`Remove ${user.name}`} disabled=${user.name === me.value.name} onClick=${() => (open.value = { remove: user })} />
                        </div>
                    </li>`,
                )}
            </ul>
            ${answer?.users.length === 0 && html`<p class="soft">There are none yet.</p>`}
        <//>
        ${open.value?.add && html`<${User} onClose=${close} />`}
        ${open.value?.change && html`<${User} user=${open.value.change} onClose=${close} />`}
        ${open.value?.password &&
        html`<${Dialog} title=${`Password of ${open.value.password.name}`} onClose=${close}><${Password} name=${open.value.password.name} onDone=${close} /><//>`}
        ${open.value?.remove &&
        html`<${Confirm} title=${`Remove ${open.value.remove.name}?`} yes="Remove" onNo=${close} onYes=${() => attempt(() => remove(pathOf(open.value.remove.name)))}>
            <p>With all keys of this user.</p>
        <//>`}
    `;
}

function User({ user, onClose }) {
    const [name, password] = [useSignal(user?.name ?? ""), useSignal("")];
    const active = useSignal(user?.active ?? true);
    const [groups] = useAnswer("/api/access/groups");
    const chosen = useSignal(new Set(user?.groups ?? ["users"]));
    const toggle = (key, on) => {
        const next = new Set(chosen.value);
        if (on) next.add(key);
        else next.delete(key);
        chosen.value = next;
    };
    const save = async () => {
        const listed = [...chosen.value].filter((key) => key !== "guests");
        if (user) await put(pathOf(user.name), { active: active.value, groups: listed });
        else await post("/api/access/users", { name: name.value.trim(), password: password.value, active: active.value, groups: listed });
        note("Saved.");
        onClose();
    };
    return html`
        <${Dialog} title=${user ? user.name : "A new user"} onClose=${onClose}>
            <${Form} label="User" submit="Save" onSubmit=${save}>
                ${!user && html`<${Text} label="Name" value=${name} required autocapitalize="none" autocomplete="off" autofocus />`}
                ${!user && html`<${Text} label="Password" hint="At least 8 characters" type="password" required minlength="8" value=${password} autocomplete="new-password" />`}
                ${(groups?.groups ?? [])
                    .filter(({ key }) => key !== "guests")
                    .map(({ key, name: group, description }) => html`<${Switch} key=${key} label=${group} hint=${description} on=${chosen.value.has(key)} onChange=${(on) => toggle(key, on)} />`)}
                <${Switch} label="May log in" value=${active} />
            <//>
        <//>
    `;
}
