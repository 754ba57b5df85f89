// Styles of views that are loaded when they are first shown.

const loaded = new Map();

/** Resolved once the file, named as in `css/`, holds. */
export function style(name) {
    if (!loaded.has(name)) {
        const link = document.createElement("link");
        link.rel = "stylesheet";
        link.href = new URL(`../css/${name}`, import.meta.url).href;
        loaded.set(name, new Promise((done) => (link.onload = link.onerror = done)));
        document.head.append(link);
    }
    return loaded.get(name);
}
