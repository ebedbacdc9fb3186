// Runs a test binary of wasm32-wasip1, for which the current folder is the root as well: `node wasi.mjs tests.wasm ARGUMENTS`.
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const args = process.argv.slice(2);
const wasi = new WASI({ version: "preview1", args, env: process.env, preopens: { "/": ".", [process.cwd()]: "." } });
const module = await WebAssembly.compile(await readFile(args[0]));
process.exit(wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject())));
