// The push socket: opened, kept open, and opened again when it was lost.

import { base } from "./api.js";

const PLUGINS = ["action_command_prompt", "action_command_notification"];
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 5_000;
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
    let heard = 0;
    let asking = false;
    let wish = { logs: false, throttle: 1 };

    const say = (message) => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));
    const sayWish = () => {
        say({ subscribe: { state: { logs: wish.logs, messages: false }, events: true, plugins: PLUGINS } });
        say({ throttle: wish.throttle });
    };

    async function open() {
        if (asking) return undefined;
        asking = true;
        let auth = null;
        try {
            auth = await who();
        } catch {
            return later();
        } finally {
            asking = false;
        }
        if (ended || !auth) return undefined;
        const opened = new WebSocket(`${location.origin.replace(/^http/, "ws")}${at}/sockjs/websocket`);
        socket = opened;
        const giveUp = setTimeout(() => opened.close(), OPENING);
        opened.onopen = () => {
            clearTimeout(giveUp);
            heard = Date.now();
            sayWish();
            say({ auth });
        };
        opened.onmessage = ({ data }) => {
            heard = Date.now();
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
        /** A request of that time had no answer: unless something was heard since, the socket is open in name only. */
        doubt(began) {
            if (socket?.readyState !== WebSocket.OPEN || heard > began) return;
            const silent = socket;
            later();
            silent.close();
        },
        close() {
            ended = true;
            clearTimeout(timer);
            removeEventListener("online", atOnce);
            socket?.close();
        },
    };
}
