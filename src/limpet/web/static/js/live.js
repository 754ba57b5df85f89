// One printer as it is now: what the push tells, and what has to be asked for because of it.

import { get, namedPrinter, onRefused } from "./api.js";
import * as lines from "./lines.js";
import { recognise, ticket } from "./people.js";
import { listen } from "./push.js";
import * as store from "./store.js";
import * as temperatures from "./temperatures.js";

const LINK_INTERVAL = 10_000;
/** How long news are waited for, in milliseconds. */
const PATIENCE = 5_000;
const HIDDEN_THROTTLE = 10;

let push = null;
let wantsLines = false;

/** This page's printer among them; undefined when there is no such one. */
export const ourPrinter = () =>
    store.printers.value?.find((each) => (namedPrinter ? each.id === namedPrinter : each.default));

let isEarly = false;

/** Ask for what is shown first, before it is known who asks: a slow phone has it a moment sooner. */
export function begin() {
    isEarly = true;
    refresh.printers(true);
    // A printer that the address names may not be there.
    if (!namedPrinter) refresh.connection(true);
}

/** Ask for all that the push does not tell. */
export function load() {
    const begun = isEarly && !namedPrinter;
    isEarly = false;
    onRefused(() => recognise().catch(() => {}));
    if (!begun) {
        refresh.printers();
        refresh.connection();
    }
    if (store.connection.value) refresh.profile();
    for (const ask of [refresh.settings, refresh.lastPrint, refresh.prompt]) ask();
}

/** Follow the printer of this page, until the page is left; at once, when somebody has logged in again. */
export function start() {
    if (push) {
        push.atOnce();
        return;
    }
    push = listen(ticket, {
        open: isBack,
        away() {
            store.awaySince.value ||= Date.now();
            // It may be only the printer that has gone.
            if (namedPrinter) refresh.printers();
        },
        history(content) {
            temperatures.clear();
            take(content);
        },
        current: take,
        event: ({ type, payload }) => EVENTS[type]?.(payload),
        plugin: ({ plugin, data }) => PLUGINS[plugin]?.(data),
    });
    document.addEventListener("visibilitychange", () => {
        push?.want({ throttle: document.hidden ? HIDDEN_THROTTLE : 1 });
        if (document.hidden) return;
        push?.atOnce();
        refresh.connection();
    });
    setInterval(() => push && !document.hidden && !store.awaySince.value && refresh.connection(), LINK_INTERVAL);
}

/** From now on the lines on the wire are wanted; the newest come at once. */
export function wantLines() {
    if (wantsLines || !push) return;
    wantsLines = true;
    push.want({ logs: true });
    push.anew();
}

/** Not all that goes says goodbye: without power, or without a network, a server is only silent. */
function hasNoAnswer(began) {
    if (push) push.doubt(began);
    else store.awaySince.value ||= began;
}

function isBack() {
    if (!store.awaySince.value) return;
    store.awaySince.value = 0;
    store.note("Limpet is back.");
    store.filesChanged.value += 1;
    store.settingsChanged.value += 1;
    load();
}

function take({ state, job, progress, currentZ, offsets, temps = [], logs = [], serverTime }) {
    // What has been asked for already need not be asked for again because it is told here for the first time.
    const before = store.state.value.text || state.text;
    store.batch(() => {
        store.keep(store.state, state);
        store.keep(store.job, job);
        store.keep(store.progress, progress);
        store.keep(store.offsets, offsets ?? {});
        store.height.value = currentZ ?? null;
    });
    temperatures.add(temps);
    lines.add(wantsLines ? logs : [], serverTime);
    // What is being tried changes while there is no connection, and is told nowhere else.
    const known = store.connection.value?.current.state;
    if (before !== state.text || (known !== state.text && !store.isPrinting.value) || !state.flags.operational) {
        refresh.connection();
    }
}

const PLUGINS = {
    action_command_prompt({ action, text, choices }) {
        store.prompt.value = action === "show" ? { text, choices: choices ?? [] } : null;
    },
    action_command_notification({ message }) {
        if (message) store.note(`Notification: ${message}`);
    },
};

/** A request that is asked again when it was wanted meanwhile, and never twice at once. */
function asked(path, permission, take) {
    let running = false;
    let again = false;
    return async function ask(anyway = false) {
        if (!anyway && !store.may(permission)) return;
        if (running) {
            again = true;
            return;
        }
        running = true;
        do {
            again = false;
            const began = Date.now();
            try {
                take(await get(typeof path === "string" ? path : path(), PATIENCE));
                if (!push) isBack();
            } catch (failure) {
                // All is asked anew when the server is back.
                if (failure.status === 0) hasNoAnswer(began);
            }
        } while (again && !store.awaySince.value);
        running = false;
    };
}

export const refresh = {
    connection: asked("/api/connection", "STATUS", (content) => {
        const had = store.connection.value?.current.printerProfile;
        store.keep(store.connection, content);
        if (had !== content.current.printerProfile) refresh.profile();
    }),
    printers: asked("/api/limpet/printers", "STATUS", ({ printers }) => {
        store.keep(store.printers, printers);
        if (!push || ourPrinter()) return;
        push.close();
        push = null;
        store.awaySince.value = 0;
    }),
    settings: asked("/api/settings", "SETTINGS_READ", (content) => store.keep(store.settings, content)),
    lastPrint: asked("/api/job", "STATUS", ({ lastPrint }) => store.keep(store.lastPrint, lastPrint ?? null)),
    prompt: asked("/api/plugin/action_command_prompt", "PLUGIN_ACTION_COMMAND_PROMPT_INTERACT", ({ text, choices }) => {
        store.prompt.value = text === undefined ? null : { text, choices: choices ?? [] };
    }),
    profile: asked(
        () => `/api/printerprofiles/${store.connection.value?.current.printerProfile ?? "_default"}`,
        "CONNECTION",
        (content) => store.keep(store.profile, content),
    ),
    ports: asked("/api/limpet/ports", "CONNECTION", ({ ports }) => {
        store.keep(store.ports, ports);
    }),
};

const changedFiles = () => (store.filesChanged.value += 1);
const changedProfiles = () => {
    refresh.profile();
    refresh.connection();
    store.settingsChanged.value += 1;
};
const EVENTS = {
    Connected: () => {
        refresh.connection();
        refresh.lastPrint();
    },
    Disconnected: () => {
        store.prompt.value = null;
        refresh.connection();
    },
    Error: () => refresh.connection(),
    ConnectionsAutorefreshed: () => {
        refresh.ports();
        refresh.connection();
    },
    UpdatedFiles: changedFiles,
    MetadataAnalysisFinished: changedFiles,
    PrintStarted: () => refresh.lastPrint(),
    PrintDone: ({ name }) => {
        changedFiles();
        refresh.lastPrint();
        store.note(`${name} is printed.`);
    },
    PrintCancelled: () => refresh.lastPrint(),
    PrintFailed: () => {
        changedFiles();
        refresh.lastPrint();
    },
    PrinterProfileAdded: changedProfiles,
    PrinterProfileModified: changedProfiles,
    PrinterProfileDeleted: changedProfiles,
    SettingsUpdated: () => {
        refresh.settings();
        refresh.printers();
        refresh.connection();
        store.settingsChanged.value += 1;
    },
};
