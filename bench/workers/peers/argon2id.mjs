// Hashes passwords with the Worker's own module: Argon2id with m=19456, t=2, p=1, in a PHC string.
import { randomBytes } from "node:crypto";
import { deriveArgon2id } from "../../../src/kdf.mjs";

const base64 = (bytes) => Buffer.from(bytes).toString("base64").replaceAll("=", "");

export async function hash(password) {
  const salt = new Uint8Array(randomBytes(16));
  const key = await deriveArgon2id(new TextEncoder().encode(password), salt, 19456, 2, 1, 32, 300_000);
  return `$argon2id$v=19$m=19456,t=2,p=1$${base64(salt)}$${base64(key)}`;
}
