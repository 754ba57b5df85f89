// Pictograms of 24 by 24, drawn with lines of the text's colour.

import { html } from "../vendor/preact.js";

const PATHS = {
    add: "M12 5v14M5 12h14",
    check: "M5 12.5l4.5 4.5L19 7.5",
    close: "M6 6l12 12M18 6L6 18",
    copy: "M9 9h10v10H9zM5 15V5h10",
    disconnect: "M4 4l16 16M9.5 6.5V3m5 3.5V3M7 9v2a5 5 0 0 0 7.5 4.3M17 12V8h-6M12 16v5",
    down: "M12 5v14M6 13l6 6 6-6",
    download: "M12 4v11M7 10.5l5 5 5-5M5 20h14",
    edit: "M5 19l1-4L16.5 4.5l3 3L9 18z",
    file: "M7 3h7l4 4v14H7zM14 3v5h4",
    files: "M3 7V5h6l2 2h10v12H3z",
    folder: "M3 7V5h6l2 2h10v12H3z",
    folderAdd: "M3 7V5h6l2 2h10v12H3zM12 10.5v5M9.5 13h5",
    heat: "M10 13.5V5a2 2 0 1 1 4 0v8.5a4 4 0 1 1-4 0zM12 17v-6",
    home: "M4 11.5L12 5l8 6.5M6.5 10v9h11v-9",
    info: "M12 11v6M12 7.5v.01M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18z",
    key: "M8 4.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9zM11.2 12.200L19.5 20.500M15.5 16.500l2.5-2.500M18.2 19.200l1.8-1.8",
    left: "M19 12H5M11 6l-6 6 6 6",
    out: "M10 4H5v16h5M15 8l4 4-4 4M9 12h10",
    pause: "M9 5v14M15 5v14",
    play: "M8 5l11 7-11 7z",
    plug: "M9 3v5M15 3v5M6.5 8h11v3a5.5 5.5 0 0 1-11 0zM12 16.500V21",
    printer: "M5 20h14M5 4h14M6 4v16M18 4v16M10 4v4h4V4M12 8v3M9 16h6v-3H9z",
    refresh: "M19 8a8 8 0 1 0 1 5M19.5 4v4.500H15",
    right: "M5 12h14M13 6l6 6-6 6",
    search: "M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13zM15.5 15.500L20 20",
    send: "M4 12L20 5l-5 15-3.5-6.500z",
    settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.500v5M9 14.500v5",
    stop: "M8 3h8l5 5v8l-5 5H8l-5-5V8zM12 7.500v5.500M12 16.300v.01",
    terminal: "M4 5h16v14H4zM7.5 9.500l3 2.5-3 2.500M12.5 15h4",
    trash: "M5 7h14M9.5 7V4.500h5V7M7 7l1 13h8l1-13M10.5 11v5.500M13.5 11v5.5",
    up: "M12 19V5M6 11l6-6 6 6",
    upload: "M12 16V5M7 9.500l5-5 5 5M5 20h14",
    user: "M12 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM4.5 20c.8-3.5 3.8-5 7.5-5s6.7 1.5 7.5 5",
    warning: "M12 4.500L21 20H3zM12 10v5M12 17.300v.01",
};

export const Icon = ({ name }) => html`
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>
`;

/** The mark of Limpet: a shell that holds on, seen from the side. */
export const Mark = () => html`
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
        <path class="shell" d="M3 25.500C5 15 9.5 5.5 14.5 5.500c5.5 0 12 9.5 14.5 20z" />
        <path class="ribs" d="M14.5 9.500L9 22M14.8 9.500l.4 12.500M15.5 9.500l6 12.5" />
        <path class="rock" d="M2 28.200h28" />
    </svg>
`;
