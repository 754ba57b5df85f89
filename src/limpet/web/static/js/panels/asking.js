// Looks whether a program asks for a key, for whoever may decide.

import { html, useEffect, useSignal } from "../../vendor/preact.js";
import { get } from "../api.js";
import { styled } from "../later.js";
import { awaySince, may } from "../store.js";

const FIRST = 1_500;
const INTERVAL = 4_000;
const Asked = styled(() => import("./appkeys.js").then((found) => found.Asked), true);

/** Lies over any view as long as a program waits. */
export function Asking() {
    const first = useSignal(null);
    const mayDecide = may("PLUGIN_APPKEYS_ADMIN") || may("PLUGIN_APPKEYS_GRANT");
    const look = async () => {
        if (document.hidden || awaySince.value) return;
        first.value = await get("/api/plugin/appkeys").then(({ pending }) => Object.values(pending)[0] ?? null, () => null);
    };
    useEffect(() => {
        if (!mayDecide) return undefined;
        const soon = setTimeout(look, FIRST);
        const timer = setInterval(look, INTERVAL);
        return () => {
            clearTimeout(soon);
            clearInterval(timer);
        };
    }, [mayDecide]);
    return first.value && html`<${Asked} key=${first.value.user_token} first=${first.value} onDecided=${look} />`;
}
