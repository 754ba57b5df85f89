// The first user, and the login.

import { html, useEffect, useSignal } from "../../vendor/preact.js";
import { Mark } from "../icons.js";
import { Form, Notice, Switch, Text } from "../parts.js";
import { logIn, setUp, useApiKey } from "../people.js";
import { loginNote, setupNeeded } from "../store.js";

export function Arriving() {
    const byKey = useSignal(false);
    useEffect(() => document.querySelector("[autofocus]")?.focus(), [byKey.value]);
    return html`
        <main class="arriving">
            <div class="welcome">
                <${Mark} />
                <p class="name">Limpet</p>
                <p class="soft">finds your printer, and holds on to it</p>
            </div>
            <div class="card">
                ${setupNeeded.value && !byKey.value ? html`<${Setup} />` : byKey.value ? html`<${ByKey} />` : html`<${Login} />`}
                <p class="aside">
                    <button type="button" class="link" onClick=${() => (byKey.value = !byKey.value)}>
                        ${byKey.value
                            ? setupNeeded.value ? "Set up the first user" : "Use a user and password"
                            : "Use an API key"}
                    </button>
                </p>
            </div>
        </main>
    `;
}

function Setup() {
    const [code, user, password, again] = [useSignal(""), useSignal(""), useSignal(""), useSignal("")];
    const send = () => {
        if (password.value !== again.value) throw new Error("The two passwords are not the same.");
        return setUp(code.value.trim(), user.value.trim(), password.value);
    };
    return html`
        <h1>Welcome</h1>
        <p class="soft">Nobody has an account here yet. The first one may do everything, so it takes the code that Limpet has printed in its terminal.</p>
        <${Form} label="Set up" onSubmit=${send} submit="Set up">
            <${Text} label="Code from the terminal" value=${code} required autocomplete="one-time-code" autocapitalize="characters"
                spellcheck=${false} placeholder="ABCD-EFGH" class="code" autofocus />
            <${Text} label="User" value=${user} required autocomplete="username" autocapitalize="none" spellcheck=${false} />
            <${Text} label="Password" hint="At least 8 characters" value=${password} required minlength="8" type="password"
                autocomplete="new-password" />
            <${Text} label="Password again" value=${again} required type="password" autocomplete="new-password" />
        <//>
    `;
}

function Login() {
    const [user, password, remember] = [useSignal(""), useSignal(""), useSignal(true)];
    return html`
        <h1>Log in</h1>
        ${loginNote.value && html`<${Notice} kind="info">${loginNote.value}<//>`}
        <${Form} label="Log in" onSubmit=${() => logIn(user.value, password.value, remember.value)} submit="Log in">
            <${Text} label="User" value=${user} required autocomplete="username" autocapitalize="none" spellcheck=${false} autofocus />
            <${Text} label="Password" value=${password} required type="password" autocomplete="current-password" />
            <${Switch} label="Remember me on this device" value=${remember} />
        <//>
    `;
}

function ByKey() {
    const [key, remember] = [useSignal(""), useSignal(false)];
    return html`
        <h1>Log in</h1>
        ${loginNote.value && html`<${Notice} kind="info">${loginNote.value}<//>`}
        <${Form} label="Log in with a key" onSubmit=${() => useApiKey(key.value, remember.value)} submit="Log in">
            <${Text} label="API key" hint="Shown at the first start, and by “limpet keys add NAME”" value=${key} required
                type="password" autocomplete="off" spellcheck=${false} autofocus />
            <${Switch} label="Remember it on this device" value=${remember} />
        <//>
    `;
}
