// Helpers for the Python side of the Worker: read a request's head, read its body up to a limit, send an HTTP request
// with a timeout, send an e-mail, count a request against a rate limit, and create a response. Each operation takes one
// call from Python to JavaScript.

import { env } from "cloudflare:workers";

/**
 * Return the head of a request as a JSON array: method, path, query, origin of the URL, headers (names in lower case),
 * country and data centre (null if Cloudflare does not report them), and a new request id.
 */
export function readHead(request) {
  const { pathname, search, origin } = new URL(request.url);
  const { country, colo } = request.cf ?? {};
  const headers = Object.fromEntries(request.headers);
  return JSON.stringify([request.method, pathname, search, origin, headers, country, colo, crypto.randomUUID()]);
}

/** Return the body of a request or response as bytes, or undefined once it exceeds `limit` bytes. */
async function readBody(source, limit) {
  // arrayBuffer() is several times as fast as the loop below. Content-Length does not limit the size of a compressed body
  // after decompression, so such a body is read by the loop.
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

/** Cancel the body of a response, and return an empty array. */
async function discardBody(response) {
  await response.body?.cancel().catch(() => {});
  return new Uint8Array();
}

/** Wait for a promise for at most `milliseconds`. Return its result or throw its error, or throw a TimeoutError. */
export async function withTimeout(promise, milliseconds) {
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new DOMException("", "TimeoutError")), milliseconds);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Read the body of a request within `milliseconds`. Return `{body}`, or `{failure}`: "TimeoutError", "TooLarge" (over
 * `limit` bytes), or the name of another error, for example if the connection is lost.
 */
export async function readRequest(request, limit, milliseconds) {
  try {
    const body = await withTimeout(readBody(request, limit), milliseconds);
    return body === undefined ? { failure: "TooLarge" } : { body };
  } catch (error) {
    return { failure: String(error?.name ?? "Error") };
  }
}

/**
 * Send one HTTP request and read the whole response within `milliseconds`.
 *
 * Return `{status, headers, body}` with the headers as JSON pairs and the body as bytes, or `{failure}` with the name of
 * the error: "TimeoutError", "TooLarge" (a body over `limit` bytes), or the name of the error from fetch. A `limit` of 0
 * discards the body. Redirects are returned and not followed, because fetch would send the credentials to another host.
 */
export async function exchange(method, url, headers, body, milliseconds, limit) {
  // AbortSignal.timeout is not used, because its timer cannot be cleared after the exchange.
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new DOMException("", "TimeoutError")), milliseconds);
  try {
    const response = await fetch(url, {
      method,
      headers: JSON.parse(headers),
      // fetch throws when GET or HEAD has a body, even an empty one.
      body: body.byteLength > 0 ? body : undefined,
      redirect: "manual",
      signal: controller.signal,
    });
    const content = limit > 0 ? await readBody(response, limit) : await discardBody(response);
    if (content === undefined) return { failure: "TooLarge" };
    return { status: response.status, headers: JSON.stringify([...response.headers]), body: content };
  } catch (error) {
    return { failure: String(error?.name ?? "Error") };
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Send an e-mail through the named `send_email` binding within `milliseconds`; `mail` is JSON. Return "" on success, or
 * an error: "TimeoutError", Cloudflare's error code, or the name of another error. The error's message is not returned,
 * because it may quote an address.
 */
export async function sendEmail(name, mail, milliseconds) {
  try {
    await withTimeout(env[name].send(JSON.parse(mail)), milliseconds);
    return "";
  } catch (error) {
    return typeof error?.code === "string" ? error.code : String(error?.name ?? "Error");
  }
}

/**
 * Count a request with the named rate limiting binding. Return whether the key is within its limit, or undefined if the
 * binding fails or does not respond within `milliseconds`.
 */
export async function countRequest(name, key, milliseconds) {
  try {
    return (await withTimeout(env[name].limit({ key }), milliseconds)).success;
  } catch {
    return undefined;
  }
}

/** Import a module of the Worker that not every deployment has. `path` is relative to this file. */
export function importModule(path) {
  return import(path);
}

/** Return a response; `headers` is JSON. A 204 response must not have a body, not even an empty one. */
export function makeResponse(status, headers, body) {
  return new Response(status === 204 ? undefined : body, { status, headers: JSON.parse(headers) });
}
