// The emergency stop: always in reach, and pressed twice, so that nobody stops a print with an elbow.

import { html, useEffect, useRef, useState } from "../../vendor/preact.js";
import { post } from "../api.js";
import { Icon } from "../icons.js";
import { connection, may, note } from "../store.js";

/** A second press counts no earlier (one press may bounce) and no later than this, in milliseconds. */
const EARLIEST = 250;
const LATEST = 5_000;
/** Whoever needs it cannot wait. */
const PATIENCE = 3_000;

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
            post("/api/printer/command", { command: "M112" }, PATIENCE).then(
                () => note("Emergency stop sent."),
                ({ message }) => note(`The emergency stop was not sent: switch the printer off by hand. ${message}.`, "bad"),
            );
        }
    };
    const key = (event) => {
        if (event.key === "Escape") disarm();
        // A key that is held down is one press.
        if (event.repeat) event.preventDefault();
    };
    return html`
        <button
            type="button"
            class=${`stop ${armed ? "armed" : ""}`}
            onClick=${press}
            onBlur=${disarm}
            onKeyDown=${key}
        >
            <${Icon} name="stop" />
            <span aria-live="assertive">${armed ? "Press again to stop" : html`<span class="long">Emergency </span>stop`}</span>
        </button>
    `;
}
