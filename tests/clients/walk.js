// OctoPrint's JavaScript client library, as its package ships it, in node with jsdom: node walk.js CLIENTS ADDRESS KEY
"use strict";
const fs = require("fs");
const path = require("path");
const [clients, address, key] = process.argv.slice(2);
const modules = path.join(clients, "js/node_modules");
const { JSDOM } = require(path.join(modules, "jsdom"));

const window = new JSDOM("<!doctype html>", { url: address }).window;
global.window = window;
global.document = window.document;
const $ = require(path.join(modules, "jquery"));
const _ = require(path.join(modules, "lodash"));
Object.assign(window, { $, jQuery: $, _, log: console, SockJS: require(path.join(modules, "sockjs-client")) });

const python = fs.readdirSync(path.join(clients, "lib"))[0];
const folder = path.join(clients, "lib", python, "site-packages/octoprint/static/js/app/client");
const names = fs.readdirSync(folder).filter((name) => name.endsWith(".js") && name !== "base.js");
for (const name of ["base.js", ...names]) {
    const source = fs.readFileSync(path.join(folder, name), "utf8");
    const given = {
        ...{ window, $, _, jQuery: $, log: console, SockJS: window.SockJS },
        ...{ XMLHttpRequest: window.XMLHttpRequest, File: window.File, FormData: window.FormData },
        ...{ OctoPrintClient: window.OctoPrintClient },
    };
    new Function(...Object.keys(given), source).call(window, ...Object.values(given));
}

const OctoPrint = window.OctoPrint;
global.OctoPrint = OctoPrint; // Some of its parts look for it there.
OctoPrint.options.baseurl = address;
OctoPrint.options.apikey = key;

const until = async (what, holds) => {
    for (let tries = 0; tries < 200; tries++) {
        if (await holds()) return;
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`not in time: ${what}`);
};

const main = async () => {
    const seen = [];
    OctoPrint.socket.onMessage("event", (message) => seen.push(message.data.type));
    OctoPrint.socket.onMessage("history", () => seen.push("history"));
    OctoPrint.socket.onMessage("connected", async () => {
        const login = await OctoPrint.browser.passiveLogin();
        OctoPrint.socket.sendAuth(login.name, login.session);
    });
    OctoPrint.socket.connect();
    await until("history", () => seen.includes("history"));
    await OctoPrint.connection.connect({ port: "VIRTUAL", baudrate: 115200 });
    await until("Connected", () => seen.includes("Connected"));
    await until("Operational", async () => (await OctoPrint.connection.getSettings()).current.state === "Operational");
    const file = new window.File(["G28\n", "G4 P100\n".repeat(100)], "walk.gcode");
    await OctoPrint.files.upload("local", file, { filename: "walk.gcode" });
    await OctoPrint.files.select("local", "walk.gcode");
    await until("selected", async () => (await OctoPrint.job.get()).job.file.name === "walk.gcode");
    for (const [act, event] of [
        ["start", "PrintStarted"],
        ["pause", "PrintPaused"],
        ["resume", "PrintResumed"],
        ["cancel", "PrintCancelled"],
    ]) {
        await OctoPrint.job[act]();
        await until(event, () => seen.includes(event));
    }
    await until("cancelled", async () => (await OctoPrint.job.get()).state === "Operational");
    await OctoPrint.printer.setToolTargetTemperatures({ tool0: 200 });
    await until("target", async () => (await OctoPrint.printer.getFullState()).temperature.tool0.target === 200);
    await OctoPrint.control.sendGcode(["M117 hello"]);
    await OctoPrint.printerprofiles.list();
    await OctoPrint.settings.get();
    await OctoPrint.system.getCommands();
    await OctoPrint.timelapse.get();
    await OctoPrint.files.delete("local", "walk.gcode");
    await OctoPrint.connection.disconnect();
    await until("Disconnected", () => seen.includes("Disconnected"));
    console.log("walked through");
    process.exit(0);
};

main().catch((error) => {
    console.error(error.responseText || error.statusText || error);
    process.exit(1);
});
