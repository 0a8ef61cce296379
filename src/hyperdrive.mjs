// One statement over Hyperdrive, for the Python side of the Worker. pg.mjs is node-postgres, the driver that Cloudflare
// documents for Hyperdrive. Both files are deployed only where Hyperdrive is used: see the first rule in wrangler.toml.

import { Client, DatabaseError } from "./pg.mjs";

// Milliseconds that closing a connection may take. The end of the request closes what is still open then.
const CLOSING = 250;

class TooLarge extends Error {}

/** Return the name of an error for Python; the error's text may quote values and is not returned. */
function nameOf(error) {
  if (error instanceof TooLarge) return "TooLarge";
  // node-postgres has no class for the errors of SCRAM.
  if (String(error?.message).startsWith("SASL")) return "SCRAM";
  return String(error?.name ?? "Error");
}

/** Settle like `promise`, but reject with a TimeoutError after `milliseconds`; no timer remains. */
async function withTimeout(promise, milliseconds) {
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
 * Run one statement on a connection of its own, within `milliseconds`. `parameters` is a JSON array.
 *
 * Return `{rows}`, JSON with every value in Postgres' text form; or `{sqlstate, constraint}`, an error of the database; or
 * `{failure}`: "TimeoutError", "TooLarge" (rows of more than `limit` characters), "SCRAM" (the password exchange was not
 * possible), or the name of another error. After a TimeoutError the statement may still be running.
 */
export async function execute(hyperdrive, statement, parameters, milliseconds, limit) {
  // In workerd a connection belongs to the request that made it, and Hyperdrive is the pool: opening one is cheap.
  const { host, port, user, password, database } = hyperdrive;
  const client = new Client({ host, port, user, password, database, ssl: false });
  // What happens to the connection while no statement waits is of no interest, and would be thrown without a listener.
  client.on("error", () => {});
  let size = 0;
  const asText = (value) => {
    size += value.length;
    if (size > limit) throw new TooLarge();
    return value;
  };
  const query = {
    text: statement,
    values: JSON.parse(parameters),
    queryMode: "extended", // a simple query could have several statements
    rowMode: "array",
    types: { getTypeParser: () => asText },
  };
  let isAlive = true;
  try {
    const { rows } = await withTimeout(client.connect().then(() => client.query(query)), milliseconds);
    return { rows: JSON.stringify(rows) };
  } catch (error) {
    if (error instanceof DatabaseError) return { sqlstate: error.code ?? "", constraint: error.constraint ?? "" };
    isAlive = error instanceof TooLarge;
    return { failure: nameOf(error) };
  } finally {
    const closed = client.end();
    // A connection that was lost, or that a statement holds, is dropped at once, and does not always say that it is.
    if (isAlive) await withTimeout(closed, CLOSING).catch(() => {});
  }
}
