// Password hashing for the Python side of the Worker, with one call from Python to JavaScript for each hash. Pyodide
// has neither Argon2 nor scrypt, and workerd has no native Argon2. A missing result is `undefined` and not `null`, because
// Pyodide converts only `undefined` to None.

import { scryptSync } from "node:crypto";

// The reference implementation of Argon2 with SIMD, copied from the package @phi-ag/argon2 by devstack/setup/argon2.mjs.
// The package's own wrapper is not used: it passes a password's length in UTF-16 units instead of bytes.
import argon2Module from "./argon2.wasm";

// Constants of Argon2's C interface: the type Argon2id and version 1.3.
const ARGON2ID = 2;
const VERSION = 0x13;
// The size in bytes of the buffer for password, salt and key. A request body has at most 16 KiB, so every password fits.
const CAPACITY = 17 * 1024;
// The pause between batches of hashes in milliseconds, during which the event loop reads sockets, and the number of
// hashes in a batch. With one hash per batch, an overloaded isolate would spend most of its time refusing requests.
const PAUSE = 1;
const BATCH = 4;
// Milliseconds that are added to a request's timer for each request ahead of it. One hash takes longer than this.
const PAUSE_EACH = 5;
// If a request's timer has not fired this many milliseconds after it was due, although the thread was free, the client
// is assumed to have disconnected.
const GRACE = 20;

// The exports of the isolate's WebAssembly instance, its largest memory parameter so far in KiB, and the address of its
// buffer for password, salt and key. The memory grows with the first hash and is reused by later hashes. The buffer is
// allocated once for each instance: allocations of varying size would fragment the memory, which would then have to grow.
let argon2;
let largestMemory = 0;
let bufferAddress;
// The number of hashes that this isolate has started.
let started = 0;
// The requests that wait to hash, in order of arrival, each with the time at which its timer is due.
const waiting = new Map();

/** Return `length` bytes derived with Argon2id (RFC 9106) in `memory` KiB. The buffer is cleared. */
function argon2id(password, salt, memory, passes, lanes, length) {
  // A hash that needs more memory gets a new instance, because the memory of the old one never shrinks.
  if (memory > largestMemory) {
    argon2 = new WebAssembly.Instance(argon2Module).exports;
    argon2._initialize();
    bufferAddress = argon2.malloc(CAPACITY);
    largestMemory = memory;
  }
  const size = password.length + salt.length + length;
  if (size > CAPACITY) throw new Error("the password is too long for Argon2");
  // Create a new view for each use: growing the memory detaches earlier views.
  const bytes = () => new Uint8Array(argon2.memory.buffer, bufferAddress, size);
  try {
    bytes().set(password);
    bytes().set(salt, password.length);
    const saltAt = bufferAddress + password.length;
    const keyAt = saltAt + salt.length;
    const inputs = [bufferAddress, password.length, saltAt, salt.length];
    // The two zeros mean that no PHC string is written; Python builds it.
    const code = argon2.argon2_hash(passes, memory, lanes, ...inputs, keyAt, length, 0, 0, ARGON2ID, VERSION);
    if (code !== 0) throw new Error(`argon2_hash returned ${code}`);
    return bytes().slice(-length);
  } catch (error) {
    largestMemory = 0; // the next hash gets a new instance
    throw error;
  } finally {
    bytes().fill(0);
  }
}

/** Return `length` bytes derived with scrypt (RFC 7914). */
function scrypt(password, salt, N, r, p, length) {
  // Node refuses parameters that need more memory than maxmem (default 32 MiB): 128 N r bytes, and a little for p.
  return new Uint8Array(scryptSync(password, salt, length, { N, r, p, maxmem: 128 * r * (N + p + 2) }));
}

/**
 * Return the number of requests ahead of this one. Remove requests whose timers were due more than GRACE ms before
 * `waitStart`, the time at which this request's current wait began.
 */
function countAhead(request, waitStart) {
  let ahead = 0;
  for (const [other, due] of waiting) {
    if (other === request) break;
    if (due + GRACE < waitStart) waiting.delete(other);
    else ahead += 1;
  }
  return ahead;
}

/**
 * Return the result of `derive`, or undefined if it cannot start within `milliseconds`. Clear the password.
 *
 * A hash blocks the isolate's thread. If hashes ran back to back, no response from the database would be read until the
 * last hash was done. Therefore there is a pause after each batch. Requests hash in order of arrival. Each request waits
 * on its own timers, not on another request: once a client has disconnected, workerd no longer fires the timers of its
 * request or resolves its promises. The delay of a timer grows with the number of requests ahead.
 */
async function hashInTurn(password, milliseconds, derive) {
  const request = {};
  try {
    const latestStart = Date.now() + milliseconds;
    let [waitStart, startedBefore, ahead] = [0, started, countAhead(request, 0)];
    do {
      [waitStart, startedBefore] = [Date.now(), started];
      const delay = Math.min(PAUSE + PAUSE_EACH * ahead, Math.max(PAUSE, latestStart - waitStart));
      waiting.set(request, waitStart + delay);
      await scheduler.wait(delay);
      ahead = countAhead(request, waitStart);
      if (Date.now() >= latestStart) return undefined;
    } while (ahead > 0 || started - startedBefore >= BATCH);
    started += 1;
    return derive();
  } finally {
    waiting.delete(request);
    password.fill(0);
  }
}

/** Hash with Argon2id; see `argon2id` and `hashInTurn`. */
export function deriveArgon2id(password, salt, memory, passes, lanes, length, milliseconds) {
  return hashInTurn(password, milliseconds, () => argon2id(password, salt, memory, passes, lanes, length));
}

/** Hash with scrypt, to verify hashes of earlier versions; see `scrypt` and `hashInTurn`. */
export function deriveScrypt(password, salt, N, r, p, length, milliseconds) {
  return hashInTurn(password, milliseconds, () => scrypt(password, salt, N, r, p, length));
}
