// What a section asks for when it is shown, and again when it has changed.

import { useEffect, useSignal } from "../../../vendor/preact.js";
import { get } from "../../api.js";
import { note, settingsChanged } from "../../store.js";

/** `[value, again]`: the answer, null before it has come; `again` asks anew. */
export function useAnswer(path) {
    const answer = useSignal(null);
    const ask = () => get(path).then((content) => (answer.value = content), (failure) => note(failure.message, "bad"));
    useEffect(() => {
        ask();
    }, [path, settingsChanged.value]);
    return [answer.value, ask];
}
