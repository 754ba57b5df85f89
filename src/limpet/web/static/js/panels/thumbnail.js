// The picture that a slicer has put into a file.

import { html, useEffect, useSignal } from "../../vendor/preact.js";
import { base, blob, hasKey } from "../api.js";
import { Icon } from "../icons.js";

/** The address of a file's picture, of our own origin; null when there is none. */
export function pictureOf(file) {
    const told = file?.thumbnail ?? file?.refs?.thumbnail;
    if (typeof told !== "string") return null;
    const address = new URL(told, `${location.origin}${base}/`);
    return address.origin === location.origin ? `${address.pathname}${address.search}` : null;
}

export function Thumbnail({ file, small }) {
    const source = useSignal(null);
    const address = pictureOf(file);
    useEffect(() => {
        let made = null;
        let gone = false;
        source.value = null;
        if (!address) return undefined;
        // A browser sends the cookie along with a picture, but no key.
        if (!hasKey()) source.value = address;
        else {
            blob(address).then(
                (found) => {
                    if (gone) return;
                    made = URL.createObjectURL(found);
                    source.value = made;
                },
                () => {},
            );
        }
        return () => {
            gone = true;
            if (made) URL.revokeObjectURL(made);
        };
    }, [address]);
    return html`
        <div class=${`thumbnail ${small ? "small" : ""}`} aria-hidden="true">
            ${source.value
                ? html`<img src=${source.value} alt="" loading="lazy" decoding="async" onError=${() => (source.value = null)} />`
                : html`<${Icon} name=${file?.type === "folder" ? "folder" : "file"} />`}
        </div>
    `;
}
