// The emergency stop: always in reach, and pressed twice, so that nobody stops a print with an elbow.

import { html, useEffect, useRef, useState } from "../../vendor/preact.js";
import { post } from "../api.js";
import { Icon } from "../icons.js";
import { attempt } from "../parts.js";
import { connection, may } from "../store.js";

/** A second press counts no earlier (one press may bounce) and no later than this, in milliseconds. */
const EARLIEST = 250;
const LATEST = 5_000;

export function Stop() {
    const [armed, setArmed] = useState(0);
    const timer = useRef(0);
    useEffect(() => () => clearTimeout(timer.current), []);
    const open = Boolean(connection.value?.current.link);
    if (!may("CONTROL") || !open) return null;

    const disarm = () => {
        clearTimeout(timer.current);
        setArmed(0);
    };
    const press = () => {
        if (!armed) {
            setArmed(Date.now());
            timer.current = setTimeout(() => setArmed(0), LATEST);
        } else if (Date.now() - armed >= EARLIEST) {
            disarm();
            attempt(() => post("/api/printer/command", { command: "M112" }), "Emergency stop sent.");
        }
    };
    return html`
        <button
            type="button"
            class=${`stop ${armed ? "armed" : ""}`}
            onClick=${press}
            onBlur=${disarm}
            onKeyDown=${(event) => event.key === "Escape" && disarm()}
        >
            <${Icon} name="stop" />
            <span aria-live="assertive">${armed ? "Press again to stop" : html`<span class="long">Emergency </span>stop`}</span>
        </button>
    `;
}
