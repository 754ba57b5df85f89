// The push socket: opened, kept open, and opened again when it was lost.

import { base } from "./api.js";

const PLUGINS = ["action_command_prompt", "action_command_notification"];
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 5_000;
/** The server says something at least every 25 s (a ping, which a page cannot see), so only a dead network is silent. */
const OPENING = 8_000;

/**
 * Listens until `close` is called. `handle` has a function per kind of message, and `open`, `away`.
 * `who` is asked before each opening for what the socket is told about us: `<name>:<session>`, or null to wait.
 */
export function listen(who, handle, at = base) {
    let socket = null;
    let timer = 0;
    let pause = FIRST_PAUSE;
    let ended = false;
    let wish = { logs: false, throttle: 1 };

    const say = (message) => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));
    const sayWish = () => {
        say({ subscribe: { state: { logs: wish.logs, messages: false }, events: true, plugins: PLUGINS } });
        say({ throttle: wish.throttle });
    };

    async function open() {
        let auth = null;
        try {
            auth = await who();
        } catch {
            return later();
        }
        if (ended || !auth) return undefined;
        const opened = new WebSocket(`${location.origin.replace(/^http/, "ws")}${at}/sockjs/websocket`);
        socket = opened;
        const giveUp = setTimeout(() => opened.close(), OPENING);
        opened.onopen = () => {
            clearTimeout(giveUp);
            sayWish();
            say({ auth });
        };
        opened.onmessage = ({ data }) => {
            for (const [kind, content] of Object.entries(JSON.parse(data))) {
                if (kind === "history") {
                    pause = FIRST_PAUSE;
                    handle.open?.();
                }
                // The session has ended: a new one is asked for before the next opening.
                if (kind === "reauthRequired") opened.close();
                else handle[kind]?.(content);
            }
        };
        opened.onclose = () => {
            clearTimeout(giveUp);
            if (socket === opened) later();
        };
        return undefined;
    }

    function later() {
        socket = null;
        if (ended) return;
        handle.away?.();
        clearTimeout(timer);
        timer = setTimeout(open, pause * (0.75 + Math.random() / 2));
        pause = Math.min(pause * 1.6, LONGEST_PAUSE);
    }

    const atOnce = () => {
        if (socket || ended) return;
        clearTimeout(timer);
        open();
    };
    addEventListener("online", atOnce);
    open();

    return {
        /** What is to be told from now on: `logs`, the lines on the wire; `throttle`, each so many half seconds. */
        want(changes) {
            wish = { ...wish, ...changes };
            sayWish();
        },
        /** The same as when it was opened: everything there is, once more. */
        async anew() {
            const auth = await who().catch(() => null);
            if (auth) say({ auth });
        },
        atOnce,
        close() {
            ended = true;
            clearTimeout(timer);
            removeEventListener("online", atOnce);
            socket?.close();
        },
    };
}
