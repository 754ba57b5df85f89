// Who we are: recognised by a key or a session, logged in, logged out.

import { Failure, forgetKey, get, hasKey, post, useKey } from "./api.js";
import { awaySince, loginNote, me, setupNeeded } from "./store.js";

const PATIENCE = 5_000;
let isLeaving = false;

/** Find out who we are; throws Failure when the server does not answer. */
export async function recognise() {
    const who = await get("/api/currentuser", PATIENCE);
    if (isLeaving) return false;
    if (who.name === null) {
        setupNeeded.value = (await get("/api/limpet/setup")).needed;
        if (me.value) loginNote.value = "Your session has ended, perhaps because Limpet was started anew. Please log in again.";
        else if (hasKey()) loginNote.value = "The API key that was kept here is no longer valid.";
        me.value = null;
        awaySince.value = 0;
    } else if (who.name !== me.value?.name || who.permissions.join() !== me.value.permissions.join()) {
        setupNeeded.value = false;
        me.value = who;
    }
    return who.name !== null;
}

let recognised = 0;

/** What the push socket is told; null when nobody is logged in. */
export async function ticket() {
    // The first time it has just been found out who we are.
    if ((recognised++ || !me.value) && !(await recognise())) return null;
    const { name, session } = await post("/api/login", { passive: true }, PATIENCE);
    return `${name}:${session}`;
}

/** Throws Failure, with words for people. */
export async function logIn(user, password, remember) {
    forgetKey();
    try {
        await post("/api/login", { user, pass: password, remember });
    } catch (failure) {
        if (failure.status === 403) throw new Failure(403, "That user and password do not match. Please try again.");
        throw failure;
    }
    await arrive();
}

export async function useApiKey(text, remember) {
    useKey(text.trim(), remember);
    if (!(await get("/api/currentuser")).name) {
        forgetKey();
        throw new Failure(403, "This API key is not valid. “limpet keys list” shows those that are.");
    }
    await arrive();
}

/** `code` is the one from the terminal; the new user is logged in, and stays so in this browser. */
export async function setUp(code, user, password) {
    await post("/api/limpet/setup", { code, user, password });
    await logIn(user, password, true);
}

export async function logOut() {
    // What is shown asks for news: that ends first. The login is for the page as loaded anew: this one would lose what is typed.
    isLeaving = true;
    me.value = undefined;
    loginNote.value = "";
    if (hasKey()) forgetKey();
    else await post("/api/logout", {}).catch(() => {});
    location.reload();
}

async function arrive() {
    loginNote.value = "";
    await recognise();
}
