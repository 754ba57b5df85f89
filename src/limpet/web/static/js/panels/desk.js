// A printer that is connected.

import { html } from "../../vendor/preact.js";
import { may } from "../store.js";
import { Connection } from "./connection.js";
import { Control } from "./control.js";
import { Job } from "./job.js";
import { Temperatures } from "./temperatures.js";

export const Desk = () => html`
    <div class="desk">
        <div class="column"><${Job} /><${Temperatures} /></div>
        <div class="column side">${may("CONTROL") && html`<${Control} />`}<${Connection} /></div>
    </div>
`;
