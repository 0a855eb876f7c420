// What the library expects around it. Imported first.
import { Console } from "node:console";

// Standard output belongs to the answers.
globalThis.console = new Console(process.stderr, process.stderr);

