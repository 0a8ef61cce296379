// What Python in workerd cannot do by itself (native scrypt), or not in one step (reading a bounded body, one HTTP
// exchange with a deadline): each function here is one crossing from Python to JavaScript and back.
// `undefined` reads as None in Python; `null` would not.

import { scryptSync } from "node:crypto";

// Python's functions: that take what an operation comes to, that run what waits for its turn, and that begin a request.
let settle, run, begin;

/** Take Python's function that is called with an operation's number and what it came to, or its number alone. */
export function connect(callback) {
  settle = callback;
}

/** Take Python's function that is called for each turn. */
export function take_turns(callback) {
  run = callback;
}

/** Take Python's function that is called for each request. */
export function take_requests(callback) {
  begin = callback;
}

/** Let Python have a turn as soon as it has returned to JavaScript. */
export function turn() {
  queueMicrotask(run);
}

/**
 * A function for Python, which takes a number before its arguments and returns nothing: when the operation has ended, its
 * values are handed to Python under that number, and none if it failed.
 *
 * A promise would be converted, wait for two turns of the event loop, and cost a proxy for each way to end.
 */
function operation(work) {
  return (number, ...args) => {
    work(...args).then(
      (values) => settle(number, ...values),
      () => settle(number),
    );
  };
}

/**
 * The request's method, path, query, its URL's origin, headers (names in lower case), country and data centre where Cloudflare
 * says so, and an id for it, as JSON: converting one text costs less than as many values.
 */
function head(request) {
  const { pathname, search, origin } = new URL(request.url);
  const { country, colo } = request.cf ?? {};
  const headers = Object.fromEntries(request.headers);
  return JSON.stringify([request.method, pathname, search, origin, headers, country, colo, crypto.randomUUID()]);
}

/** A promise of the response to a request, which Python begins to work on at once. `respond` or `fail` keeps it. */
export function answer(request) {
  // As one object, which makes one proxy in Python.
  return new Promise((resolve) => begin({ request, resolve }, head(request)));
}

/** A body as bytes, or undefined as soon as it is longer than `limit` bytes; the rest is not read. */
async function read(source, limit) {
  // As HTTP counts them, unless the bytes were compressed: reading all at once takes a fraction of the time.
  const announced = Number(source.headers.get("content-length") ?? NaN);
  if (announced <= limit && !source.headers.has("content-encoding")) {
    const bytes = new Uint8Array(await source.arrayBuffer());
    return bytes.byteLength > limit ? undefined : bytes;
  }
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
 * Whatever a promise comes to within `milliseconds`, and false; or undefined and true. Not by way of Python's timers, which
 * stay until their time has come.
 */
async function inTime(promise, milliseconds) {
  let timer;
  const late = new Promise((resolve) => { timer = setTimeout(() => resolve([undefined, true]), milliseconds); });
  try {
    return await Promise.race([promise.then((value) => [value, false]), late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The request's body as bytes, or undefined when it is longer than `limit` bytes; and whether it was not there within
 * `milliseconds`. It fails when it is cut off.
 */
export const body = operation(({ request }, limit, milliseconds) => inTime(read(request, limit), milliseconds));

// Headers that were sent, and what they were made of: those for a data proxy are nearly always the same.
let sent = {};

/**
 * One HTTP exchange, answered whole within `milliseconds`: status, header pairs as JSON, bytes. The headers of a success
 * stay behind: nobody looks at them, and each would be read by itself.
 * A failure is its name alone: "TimeoutError" (the deadline), "TooLarge" (an answer over `limit` bytes), or the error's own.
 * A redirect is an answer like any other: following it could carry credentials elsewhere.
 */
export const exchange = operation(async (method, url, headers, bytes, milliseconds, limit) => {
  // Not AbortSignal.timeout, whose timer stays until its time has come, however long the exchange is over.
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new DOMException("", "TimeoutError")), milliseconds);
  try {
    if (headers !== sent.text) sent = { text: headers, headers: new Headers(JSON.parse(headers)) };
    const answer = await fetch(url, {
      method,
      headers: sent.headers,
      // fetch throws when GET or HEAD is given a body, an empty one too.
      body: bytes.byteLength > 0 ? bytes : undefined,
      redirect: "manual",
      signal: controller.signal,
    });
    const content = await read(answer, limit);
    if (content === undefined) return ["TooLarge"];
    return [answer.status, answer.ok ? "[]" : JSON.stringify([...answer.headers]), content];
  } catch (error) {
    return [String(error?.name ?? "Error")];
  } finally {
    clearTimeout(timer);
  }
});

/** Write a line to the log. Python's print would come here by way of a terminal, a character at a time. */
export function log(line) {
  console.log(line);
}

/** Whether a key is within a rate limit. It fails when the binding cannot tell, or not within `milliseconds`. */
export const within = operation(async (binding, key, milliseconds) => {
  const [answer] = await inTime(binding.limit({ key }), milliseconds);
  return [answer.success];
});

/** Answer a request; the headers are JSON. */
export function respond({ resolve }, status, headers, bytes) {
  // A status without content allows for no body, be it empty.
  resolve(new Response(status === 204 ? null : bytes, { status, headers: JSON.parse(headers) }));
}

/** Leave a request to workerd, which answers with 500 and logs the name of what went wrong. */
export function fail({ resolve }, name) {
  resolve(Promise.reject(new Error(name)));
}

// How many derivations there were, and when the last one ended.
let derivations = 0;
let ended = 0;
// Milliseconds: how long after one others may still be waiting, and how long a rest is at least.
const BUSY = 20;
const REST = 1;

function hash(password, salt, N, r, p, length) {
  derivations += 1;
  try {
    // Node refuses what needs more than maxmem, 32 MiB unless told: 128 N r, and a little for p.
    return new Uint8Array(scryptSync(password, salt, length, { N, r, p, maxmem: 128 * r * (N + p + 2) }));
  } finally {
    ended = Date.now();
  }
}

const hashInTurn = operation(async (milliseconds, ...parameters) => {
  const latest = Date.now() + milliseconds;
  let seen;
  do {
    seen = derivations;
    await scheduler.wait(REST);
    if (Date.now() > latest) return [undefined];
  } while (seen !== derivations);
  return [hash(...parameters)];
});

/**
 * scrypt (RFC 7914): an operation that ends with `length` bytes, or with undefined when it could not be begun within
 * `milliseconds`. Python cannot convert Node's Buffer, so it is copied into a plain array.
 *
 * A derivation holds the isolate's thread for about 150 ms, Node's asynchronous one too. Were those of many requests run
 * back to back, no answer from the database would be read until the last was done: the first would be answered when the
 * last is, or miss its deadline. So there is a rest between two, in which the event loop looks at its sockets. A request
 * goes ahead when none has while it waited. It waits on timers of its own: a promise or timer of another request never
 * fires if that one's client goes away. When there is nobody to wait for, it has ended before this returns.
 */
export function derive(number, password, salt, N, r, p, length, milliseconds) {
  const parameters = [password, salt, N, r, p, length];
  if (Date.now() < ended + BUSY) {
    hashInTurn(number, milliseconds, ...parameters);
    return;
  }
  let key;
  try {
    key = hash(...parameters);
  } catch {
    settle(number);
    return;
  }
  settle(number, key);
}
