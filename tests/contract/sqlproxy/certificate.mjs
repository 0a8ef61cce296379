// Write a self-signed certificate for 127.0.0.1 (RFC 5280) and its Ed25519 key to the two given paths, in PEM.
import { generateKeyPairSync, sign } from "node:crypto";
import { writeFileSync } from "node:fs";

const [certPath, keyPath] = process.argv.slice(2);

function der(tag, ...parts) {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  // DER and workerd require the shortest encoding of the length.
  const bytes = body.length < 256 ? [0x81, body.length] : [0x82, body.length >> 8, body.length & 255];
  const length = body.length < 128 ? [body.length] : bytes;
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}
const pem = (label, data) =>
  `-----BEGIN ${label}-----\n${data.toString("base64").replace(/.{64}/g, "$&\n")}\n-----END ${label}-----\n`;

const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const algorithm = der(0x30, [0x06, 3, 0x2b, 0x65, 0x70]); // id-Ed25519, RFC 8410
const name = der(0x30, der(0x31, der(0x30, [0x06, 3, 0x55, 4, 3], der(0x0c, Buffer.from("sqlproxy")))));
const validity = der(0x30, der(0x17, Buffer.from("200101000000Z")), der(0x17, Buffer.from("490101000000Z")));
const address = der(0x04, der(0x30, der(0x87, [127, 0, 0, 1])));
const extensions = der(0xa3, der(0x30, der(0x30, [0x06, 3, 0x55, 0x1d, 0x11], address)));
const toSign = der(
  0x30,
  der(0xa0, [0x02, 1, 2]),
  [0x02, 1, 1],
  algorithm,
  name,
  validity,
  name,
  publicKey.export({ type: "spki", format: "der" }),
  extensions,
);
const signature = der(0x03, [0], sign(null, toSign, privateKey));
writeFileSync(certPath, pem("CERTIFICATE", der(0x30, toSign, algorithm, signature)));
writeFileSync(keyPath, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
