// Which view is shown: the part of the address behind `#/`, such as `settings/users`.

import { signal } from "../vendor/preact.js";

const read = () => location.hash.replace(/^#\/?/, "").split("/");

export const route = signal(read());
addEventListener("hashchange", () => {
    route.value = read();
    scrollTo(0, 0);
});
