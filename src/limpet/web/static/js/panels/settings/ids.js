// Ids, which are in addresses, made of names.

/** An id that is not `taken`, such as "the-big-one"; "printer-2" of a name without Latin letters when `kind` is "printer". */
export function idOf(name, taken, kind) {
    const plain = name.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
    const wanted = plain.replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 28) || kind;
    let id = wanted;
    for (let count = 2; taken.includes(id); count++) id = `${wanted}-${count}`;
    return id;
}
