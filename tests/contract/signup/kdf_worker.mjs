// A Worker for tests/contract/signup/test_kdf.py that calls src/kdf.mjs. Bytes are encoded as base64.
import { scryptSync } from "node:crypto";
import { deriveArgon2id, deriveScrypt } from "./kdf.mjs";

// The exports of the Argon2 module. A test searches their memory.
let argon2;
const { Instance } = WebAssembly;
WebAssembly.Instance = class extends Instance {
  constructor(...options) {
    super(...options);
    argon2 = this.exports;
  }
};

// The numbers of received hash requests and of finished hashes.
let received = 0;
let hashed = 0;

function count(haystack, needle) {
  let matches = 0;
  for (let at = haystack.indexOf(needle); at >= 0; at = haystack.indexOf(needle, at + 1)) matches += 1;
  return matches;
}

export default {
  async fetch(request) {
    // This takes about as long as a refused sign-up.
    if (request.method === "PUT") return new Response(scryptSync("", "", 1, { N: 1024 }));
    const { algorithm, numbers, milliseconds, ...sent } = await request.json();
    const [password, salt] = [sent.password, sent.salt].map((text) => new Uint8Array(Buffer.from(text, "base64")));
    const copy = Buffer.from(password);
    const derive = algorithm === "argon2id" ? deriveArgon2id : deriveScrypt;
    const position = received++;
    const key = await derive(password, salt, ...numbers, milliseconds);
    if (key === undefined) return Response.json({ key: null });
    const memory = Buffer.from(argon2?.memory.buffer ?? new ArrayBuffer());
    return Response.json({
      position,
      order: hashed++,
      key: Buffer.from(key).toString("base64"),
      cleared: password.every((byte) => byte === 0),
      matches: sent.search ? count(memory, copy) + count(memory, Buffer.from(key)) : -1,
      memory: memory.length,
    });
  },
};
