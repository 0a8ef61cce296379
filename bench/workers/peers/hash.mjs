// The Worker's hash: scrypt with N=2^14, r=8, p=5, in a PHC string.
import { randomBytes, scrypt } from "node:crypto";
import { promisify } from "node:util";

const derive = promisify(scrypt);
const base64 = (bytes) => Buffer.from(bytes).toString("base64").replaceAll("=", "");

export async function hash(password) {
  const salt = randomBytes(16);
  const key = await derive(password, salt, 32, { N: 16384, r: 8, p: 5, maxmem: 32 * 1024 * 1024 });
  return `$scrypt$ln=14,r=8,p=5$${base64(salt)}$${base64(key)}`;
}
