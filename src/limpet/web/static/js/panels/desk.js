// A printer that is connected.

import { html } from "../../vendor/preact.js";
import { later } from "../later.js";
import { may, settings } from "../store.js";
import { Connection } from "./connection.js";
import { Control } from "./control.js";
import { Job } from "./job.js";
import { Temperatures } from "./temperatures.js";

const Custom = later(() => import("./custom.js").then((found) => found.Custom), true);

export const Desk = () => html`
    <div class="desk">
        <div class="column"><${Job} /><${Temperatures} /></div>
        <div class="column side">${may("CONTROL") && html`<${Control} />${settings.value?.controls?.length > 0 && html`<${Custom} />`}`}<${Connection} /></div>
    </div>
`;
