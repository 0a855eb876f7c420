// A device of matrix-js-sdk, driven by lines of JSON; ../README.md has the commands.
import "./surroundings.mjs";

import { createInterface } from "node:readline";

import { commands } from "./commands.mjs";

for await (const line of createInterface({ input: process.stdin })) {
    const { do: name, ...details } = JSON.parse(line);
    let answer;
    try {
        const command = commands[name];
        if (!command) {
            throw new Error(`no command ${name}`);
        }
        answer = { ok: (await command(details)) ?? null };
    } catch (error) {
        answer = { error: `${error?.message ?? error}` };
        console.error(error);
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
