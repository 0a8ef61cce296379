// Password hashing for the Python side of the Worker: one crossing between Python and JavaScript for each hash. Pyodide has
// neither Argon2 nor scrypt, and workerd has no native Argon2. `undefined` becomes None in Python; `null` would not.

import { scryptSync } from "node:crypto";

// The reference implementation of Argon2 with SIMD, copied from the package @phi-ag/argon2 by devstack/setup/argon2.mjs. The
// package's own wrapper is not used: it passes a password's length in UTF-16 units where bytes are meant.
import argon2Module from "./argon2.wasm";

// Of Argon2's C interface: the type Argon2id, and version 1.3.
const ARGON2ID = 2;
const VERSION = 0x13;
// Bytes. A request's body has 16 KiB.
const CAPACITY = 17 * 1024;
// Milliseconds between batches of hashes, in which the event loop reads sockets; and how many hashes are a batch. One hash
// for each pass over the sockets would leave the thread to refusals when there are many.
const PAUSE = 1;
const BATCH = 4;
// Milliseconds that a request waits longer for each one that is before it, before it looks again. A hash takes more.
const PAUSE_EACH = 5;
// Milliseconds after which a request that was due, while the thread was free, is taken for gone.
const GRACE = 20;

// The exports of the isolate's one instance, the most KiB that it has hashed with, and where its buffer for password, salt and
// key is. Its memory grows with the first hash, is used again by the next, and stays. The buffer is allocated once: blocks of
// changing sizes would move the large one, which then would not fit into the memory that there is.
let argon2;
let largest = 0;
let start;
// The number of hashes that were begun in this isolate.
let begun = 0;
// The requests that wait to hash, in their order, and when each of them is due to wake.
const waiting = new Map();

/** Return `length` bytes derived with Argon2id (RFC 9106) from `memory` KiB. No copy of an argument or of the result remains. */
function argon2id(password, salt, memory, passes, lanes, length) {
  // A hash that needs more than those before gets a new instance: the old one would add that to its memory, and never shrink.
  if (memory > largest) {
    argon2 = new WebAssembly.Instance(argon2Module).exports;
    argon2._initialize();
    start = argon2.malloc(CAPACITY);
    largest = memory;
  }
  const size = password.length + salt.length + length;
  if (size > CAPACITY) throw new Error("the password is too long for Argon2");
  // A view is made anew for each use: when the memory grows, earlier ones have lost it.
  const bytes = () => new Uint8Array(argon2.memory.buffer, start, size);
  try {
    bytes().set(password);
    bytes().set(salt, password.length);
    const saltAt = start + password.length;
    const keyAt = saltAt + salt.length;
    const inputs = [start, password.length, saltAt, salt.length];
    // The last two zeros are for a PHC string, which Python writes.
    const code = argon2.argon2_hash(passes, memory, lanes, ...inputs, keyAt, length, 0, 0, ARGON2ID, VERSION);
    if (code !== 0) throw new Error(`argon2_hash returned ${code}`);
    return bytes().slice(-length);
  } catch (error) {
    largest = 0; // the next hash gets a new instance
    throw error;
  } finally {
    bytes().fill(0);
  }
}

/** Return `length` bytes derived with scrypt (RFC 7914). */
function scrypt(password, salt, N, r, p, length) {
  // Node refuses what needs more than maxmem, which is 32 MiB by default: 128 N r, and a little for p.
  return new Uint8Array(scryptSync(password, salt, length, { N, r, p, maxmem: 128 * r * (N + p + 2) }));
}

/** Return how many requests are before this one. Those that were due before `since`, and did not wake by now, are gone. */
function countAhead(request, since) {
  let ahead = 0;
  for (const [other, due] of waiting) {
    if (other === request) break;
    if (due + GRACE < since) waiting.delete(other);
    else ahead += 1;
  }
  return ahead;
}

/**
 * Return what `derive` returns, or undefined if it cannot begin within `milliseconds`. The password is cleared.
 *
 * A hash holds the isolate's thread. If those of many requests ran back to back, no response of the database would be read
 * until the last was done. So there is a pause after a few, and requests hash in the order in which they came. Each waits on
 * timers of its own, the longer the more are before it: another request's timer or promise never fires once that request's
 * client is gone.
 */
async function inTurn(password, milliseconds, derive) {
  const request = {};
  try {
    const latest = Date.now() + milliseconds;
    let [since, seen, ahead] = [0, begun, countAhead(request, 0)];
    do {
      [since, seen] = [Date.now(), begun];
      const delay = Math.min(PAUSE + PAUSE_EACH * ahead, Math.max(PAUSE, latest - since));
      waiting.set(request, since + delay);
      await scheduler.wait(delay);
      ahead = countAhead(request, since);
      if (Date.now() >= latest) return undefined;
    } while (ahead > 0 || begun - seen >= BATCH);
    begun += 1;
    return derive();
  } finally {
    waiting.delete(request);
    password.fill(0);
  }
}

/** Hash with Argon2id; see `argon2id` and `inTurn`. */
export function deriveArgon2id(password, salt, memory, passes, lanes, length, milliseconds) {
  return inTurn(password, milliseconds, () => argon2id(password, salt, memory, passes, lanes, length));
}

/** Hash with scrypt, which hashes of earlier versions are verified with; see `scrypt` and `inTurn`. */
export function deriveScrypt(password, salt, N, r, p, length, milliseconds) {
  return inTurn(password, milliseconds, () => scrypt(password, salt, N, r, p, length));
}
