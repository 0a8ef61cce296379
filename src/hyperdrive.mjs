// Runs a statement over Hyperdrive, for the Python side of the Worker. pg.mjs is node-postgres, the driver that
// Cloudflare documents for Hyperdrive. wrangler deploys hyperdrive.mjs and pg.mjs only if the first rule in
// wrangler.toml lists them.

import { withTimeout } from "./edge.mjs";
import { Client, DatabaseError } from "./pg.mjs";

// The timeout for closing a connection, in milliseconds. After that, workerd closes it at the end of the request.
const CLOSE_TIMEOUT = 250;

class TooLarge extends Error {}

/** Return the name of an error. The error's text is not returned, because it may quote values. */
function errorName(error) {
  if (error instanceof TooLarge) return "TooLarge";
  // node-postgres has no class for SCRAM errors.
  if (String(error?.message).startsWith("SASL")) return "SCRAM";
  return String(error?.name ?? "Error");
}

/**
 * Run one statement on a new connection, within `milliseconds`. `parameters` is a JSON array.
 *
 * Return `{rows}`, as JSON with every value in Postgres' text format; `{sqlstate, constraint}` for an error that
 * Postgres reported; or `{failure}`: "TimeoutError", "TooLarge" (rows of more than `limit` characters), "SCRAM" (the SCRAM
 * authentication failed), or the name of another error. After a TimeoutError the statement may still be running.
 */
export async function execute(hyperdrive, statement, parameters, milliseconds, limit) {
  // In workerd a connection belongs to the request that opened it. Hyperdrive is the pool, so opening one is cheap.
  const { host, port, user, password, database } = hyperdrive;
  const client = new Client({ host, port, user, password, database, ssl: false });
  // Errors of an idle connection are ignored. Without a listener they would be thrown.
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
    queryMode: "extended", // the simple protocol allows several statements
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
    return { failure: errorName(error) };
  } finally {
    const closed = client.end();
    // Do not wait for a connection that was lost or is still busy: its end() may never resolve.
    if (isAlive) await withTimeout(closed, CLOSE_TIMEOUT).catch(() => {});
  }
}
