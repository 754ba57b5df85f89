// Parts of the page that are loaded when they are first shown.

import { html, useEffect, useState } from "../vendor/preact.js";
import { Spinner } from "./parts.js";
import { note } from "./store.js";

const loaded = new Map();

/** A component that stands for the one that `load` will bring; `quiet` ones show nothing until it is there. */
export const later = (load, quiet = false) =>
    function Later(props) {
        const [, draw] = useState(0);
        useEffect(() => {
            if (loaded.has(load)) return;
            load().then(
                (found) => {
                    loaded.set(load, found);
                    draw(1);
                },
                () => note("This part of the page could not be loaded. Load the page anew.", "bad"),
            );
        }, []);
        const Part = loaded.get(load);
        if (!Part && quiet) return null;
        return Part ? html`<${Part} ...${props} />` : html`<p class="loading"><${Spinner} /></p>`;
    };

const styles = new Map();

/** Resolved once the file, named as in `css/`, holds. */
export function style(name) {
    if (!styles.has(name)) {
        const link = document.createElement("link");
        link.rel = "stylesheet";
        link.href = new URL(`../css/${name}`, import.meta.url).href;
        styles.set(name, new Promise((done) => (link.onload = link.onerror = done)));
        document.head.append(link);
    }
    return styles.get(name);
}
