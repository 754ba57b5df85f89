// Requests to the public API of one printer: the one in the address (`/p/<id>/`), else the default one.

/** Where Limpet is on its host: `/`, or the path below which a proxy serves it. Scripts are at `<root>static/<hash>/js/`. */
export const root = new URL("../../../", import.meta.url).pathname;
const [, id] = location.pathname.slice(root.length - 1).match(/^\/p\/([^/]+)\//) ?? [];

/** Id of the printer that the address names; undefined at the root. */
export const namedPrinter = id && decodeURIComponent(id);
/** The page of a printer. */
export const pageOf = (printer) => `${root}p/${encodeURIComponent(printer)}/`;
/** What is before `/api` in every address of ours. */
export const base = id ? `${root}p/${id}` : root.slice(0, -1);

/** What is the same for all printers is asked for at the root, which answers to strangers too. */
const SHARED = /^\/(api\/)?(limpet|login|logout|currentuser|access|plugin\/appkeys)\b/;
const KEY = "limpet.key";
const PATIENCE = 20_000;
let key = sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY);
let refused = () => {};

/** What the server would not do, in its words. `status` is 0 when it did not answer at all. */
export class Failure extends Error {
    constructor(status, text) {
        super(text);
        this.status = status;
    }
}

/** `told` is called whenever a request is refused for who asks: the session may have ended. */
export function onRefused(told) {
    refused = told;
}

export function useKey(text, remember) {
    forgetKey();
    if (text) (remember ? localStorage : sessionStorage).setItem(KEY, text);
    key = text;
}

export function forgetKey() {
    key = null;
    sessionStorage.removeItem(KEY);
    localStorage.removeItem(KEY);
}

export const hasKey = () => Boolean(key);

/** Headers that say who asks; the cookie of a session comes along by itself. */
export function credentials() {
    if (key) return { "X-Api-Key": key };
    const port = location.port || (location.protocol === "https:" ? "443" : "80");
    const csrf = document.cookie.match(new RegExp(`(?:^|; )csrf_token_P${port}=([^;]+)`));
    return csrf ? { "X-CSRF-Token": csrf[1] } : {};
}

/** Whether it may well be known who asks: there is a key, or the cookie that goes with a session. */
export const mayBeKnown = () => Object.keys(credentials()).length > 0;

/** The JSON of the answer, null for an empty one; waited for so many milliseconds. Throws Failure. */
export async function ask(method, path, body, patience = PATIENCE) {
    const headers = { Accept: "application/json", ...credentials() };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let answer;
    try {
        answer = await fetch((SHARED.test(path) ? root.slice(0, -1) : base) + path, {
            method,
            headers,
            body: body === undefined ? undefined : JSON.stringify(body),
            signal: AbortSignal.timeout(patience),
        });
    } catch {
        throw new Failure(0, "Limpet does not answer");
    }
    const text = await answer.text();
    const content = parsed(text);
    if (answer.ok) return content;
    if (answer.status === 403 || content?.error === "CSRF validation failed") refused(path);
    throw new Failure(answer.status, content?.error ?? `Limpet has answered ${answer.status}`);
}

export const get = (path, patience) => ask("GET", path, undefined, patience);
export const post = (path, body, patience) => ask("POST", path, body, patience);
export const patch = (path, body) => ask("PATCH", path, body);
export const put = (path, body) => ask("PUT", path, body);
export const remove = (path) => ask("DELETE", path);

/** Something that is no JSON, such as a picture. Throws Failure. */
export async function blob(path) {
    const answer = await fetch(path, { headers: credentials() }).catch(() => null);
    if (!answer?.ok) throw new Failure(answer?.status ?? 0, "It could not be fetched");
    return answer.blob();
}

/** Each part of a path of files, so that `/` stays what it is. */
export const inPath = (path) => path.split("/").map(encodeURIComponent).join("/");

/** A form with a file, whose way is told as a fraction; `begun` gets what ends it early. Throws Failure. */
export function upload(path, form, told, begun = () => {}) {
    return new Promise((resolve, reject) => {
        const request = new XMLHttpRequest();
        request.open("POST", base + path);
        for (const [name, value] of Object.entries(credentials())) request.setRequestHeader(name, value);
        request.upload.onprogress = ({ loaded, total }) => told(total ? loaded / total : 0);
        request.onload = () => {
            const content = parsed(request.responseText);
            if (request.status < 300) resolve(content);
            else reject(new Failure(request.status, content?.error ?? `Limpet has answered ${request.status}`));
        };
        request.onerror = () => reject(new Failure(0, "The upload has broken off"));
        request.onabort = () => reject(new Failure(0, "The upload was stopped"));
        begun(() => request.abort());
        request.send(form);
    });
}

function parsed(text) {
    try {
        return JSON.parse(text);
    } catch {
        return null;
    }
}
