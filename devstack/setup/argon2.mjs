// Copy Argon2's WebAssembly module from the locked package @phi-ag/argon2 to src/argon2.wasm, which src/kdf.mjs imports.
// `make setup` and wrangler's [build] run this from the project's folder: `node devstack/setup/argon2.mjs`.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const SHA256 = "38f461d188b5dc980881ed92f9ecc12473e9206a588625e3ef0c4c5125dc85b1";
const PACKAGED = "node_modules/@phi-ag/argon2/dist/argon2.wasm";
const root = fileURLToPath(new URL("../../", import.meta.url));
const target = `${root}src/argon2.wasm`;

function read(path) {
  try {
    return readFileSync(path);
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
}

function fail(problem, remedy) {
  console.error(`argon2.wasm: ${problem}\n  fix               ${remedy}`);
  process.exit(1);
}

const packaged = read(root + PACKAGED);
if (packaged === undefined) fail(`${PACKAGED} is missing`, "run `make setup`, or `npm ci`");
const digest = createHash("sha256").update(packaged).digest("hex");
if (digest !== SHA256) {
  const remedy = "run `npm ci`; after an update of the package compare the new file with its source, then change SHA256 in";
  fail(`${PACKAGED} has the SHA-256 ${digest}, not ${SHA256}`, `${remedy} devstack/setup/argon2.mjs`);
}
// wrangler watches src/, so an unchanged file is not written again, and a new file gets its name when it is complete.
if (!read(target)?.equals(packaged)) {
  mkdirSync(`${root}src`, { recursive: true });
  writeFileSync(`${target}.${process.pid}`, packaged);
  renameSync(`${target}.${process.pid}`, target);
}
