// What Python in workerd cannot do by itself (native scrypt), or not in one step (reading a bounded body, one HTTP
// exchange with a deadline): each function here is one crossing from Python to JavaScript and back.
// `undefined` reads as None in Python; `null` would not.

import { scrypt } from "node:crypto";

/**
 * The request's method, path, its URL's origin, header pairs (names in lower case), and country and data centre where
 * Cloudflare says so.
 */
export function head(request) {
  const { pathname, origin } = new URL(request.url);
  const { country, colo } = request.cf ?? {};
  return [request.method, pathname, origin, [...request.headers], country, colo];
}

/** The body as bytes, or undefined as soon as it is longer than `limit` bytes; the rest is not read. */
export async function body(source, limit) {
  const chunks = [];
  let size = 0;
  for await (const chunk of source.body ?? []) {
    size += chunk.byteLength;
    if (size > limit) return undefined;
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

/**
 * One HTTP exchange, answered whole within `milliseconds`: [status, header pairs, bytes].
 * A failure is its name: "TimeoutError" (the deadline), "TooLarge" (an answer over `limit` bytes), or the error's own.
 * A redirect is an answer like any other: following it could carry credentials elsewhere.
 */
export async function exchange(method, url, headers, bytes, milliseconds, limit) {
  try {
    const answer = await fetch(url, {
      method,
      headers,
      // fetch throws when GET or HEAD is given a body, an empty one too.
      body: bytes.byteLength > 0 ? bytes : undefined,
      redirect: "manual",
      signal: AbortSignal.timeout(milliseconds),
    });
    const content = await body(answer, limit);
    return content === undefined ? "TooLarge" : [answer.status, [...answer.headers], content];
  } catch (error) {
    return String(error?.name ?? "Error");
  }
}

/** Whether a key is within a rate limit; undefined when the binding cannot tell. */
export async function within(binding, key) {
  try {
    return (await binding.limit({ key })).success;
  } catch {
    return undefined;
  }
}

/** The answer that workerd sends. */
export function respond(status, headers, bytes) {
  // A status without content allows for no body, be it empty.
  return new Response(status === 204 ? null : bytes, { status, headers });
}

// How many derivations there were, and when the last one ended.
let derivations = 0;
let ended = 0;
// Milliseconds: how long after one others may still be waiting, and how long a rest is.
const BUSY = 20;
const REST = 2;

/**
 * scrypt (RFC 7914): `length` bytes. Python cannot convert Node's Buffer, so it is copied into a plain array.
 *
 * A derivation holds the isolate's thread for about 150 ms. Were those of many requests run back to back, no answer from
 * the database would be read until the last was done: the first would be answered when the last is, or miss its
 * deadline. So there is a rest between two, in which the event loop looks at its sockets. A request goes ahead when none
 * has while it waited. It waits on timers of its own: a promise or timer of another request never fires if that one's
 * client goes away.
 */
export async function derive(password, salt, N, r, p, length) {
  if (Date.now() < ended + BUSY) {
    let seen;
    do {
      seen = derivations;
      await scheduler.wait(REST);
    } while (seen !== derivations);
  }
  derivations += 1;
  // Node refuses what needs more than maxmem, 32 MiB unless told: 128 N r, and a little for p.
  const options = { N, r, p, maxmem: 128 * r * (N + p + 2) };
  return new Promise((resolve, reject) => {
    scrypt(password, salt, length, options, (error, key) => {
      ended = Date.now();
      error ? reject(error) : resolve(new Uint8Array(key));
    });
  });
}
