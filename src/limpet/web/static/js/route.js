// Which view is shown: the part of the address behind `#/`, such as `settings/users`.

import { computed, signal } from "../vendor/preact.js";

const read = () => location.hash.replace(/^#\/?/, "").split("/").map(decoded);

function decoded(part) {
    try {
        return decodeURIComponent(part);
    } catch {
        return part;
    }
}

export const route = signal(read());
/** Path of the folder that the list of files shows. */
export const folder = computed(() => (route.value[0] === "files" ? route.value.slice(1).join("/") : ""));
addEventListener("hashchange", () => {
    route.value = read();
    scrollTo(0, 0);
});
