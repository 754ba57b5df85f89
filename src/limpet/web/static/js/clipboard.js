// Text for the clipboard, which browsers give only to pages from this machine or over HTTPS; others go the old way.

/** Throws an Error, with words for people, when the browser does not let us. */
export async function copy(text) {
    if (navigator.clipboard) {
        await navigator.clipboard.writeText(text);
        return;
    }
    const before = document.activeElement;
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    before?.focus();
    if (!done) throw new Error("This browser does not let the page copy. Select the text, and copy it by hand.");
}
