// Parts of the page that are loaded when they are first shown.

import { html, useEffect, useState } from "../vendor/preact.js";
import { Spinner } from "./parts.js";
import { awaySince, note } from "./store.js";

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
                () => note(`This part of the page could not be loaded. ${awaySince.value ? "It is tried again." : "Load the page anew."}`, "bad"),
            );
        }, [awaySince.value]);
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
        const gone = (fail) => {
            link.remove();
            styles.delete(name);
            fail();
        };
        styles.set(name, new Promise((done, fail) => {
            link.onload = done;
            link.onerror = () => gone(fail);
        }));
        document.head.append(link);
    }
    return styles.get(name);
}

/** One with styles that are not needed at first. */
export const styled = (load, quiet) => later(() => Promise.all([load(), style("more.css")]).then(([Part]) => Part), quiet);

/** A dialog that asks once more. */
export const Confirm = styled(() => import("./dialog.js").then((found) => found.Confirm), true);
