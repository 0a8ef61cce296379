// Run operations with Neon's driver and a proxy, or with `pg` and Postgres. Read the operations as JSON from stdin, and
// print their outcomes as JSON. Values that JSON cannot represent are tagged: {"$date": ISO}, {"$bytes": hex},
// {"$undefined": true}.
import { neon, neonConfig, NeonDbError } from "@neondatabase/serverless";
import { text } from "node:stream/consumers";
import pg from "pg";

const { endpoint, connectionString, operations, direct } = JSON.parse(await text(process.stdin));
neonConfig.fetchEndpoint = endpoint;

const FIELDS = [
  "severity", "code", "detail", "hint", "position", "internalPosition", "internalQuery", "where", "schema", "table",
  "column", "dataType", "constraint", "file", "line", "routine",
];

function encode(value) {
  if (value === undefined) return { $undefined: true };
  if (value instanceof Date) return { $date: value.toISOString() };
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString("hex") };
  if (Array.isArray(value)) return value.map(encode);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, encode(item)]));
  }
  return value;
}

function decode(value) {
  if (Array.isArray(value)) return value.map(decode);
  if (value?.$date) return new Date(value.$date);
  if (value?.$bytes) return Buffer.from(value.$bytes, "hex");
  return value;
}

const client = direct && new pg.Client({ connectionString });
await client?.connect();

async function run({ query, params, queries, options }) {
  if (client) return (await client.query(query, decode(params))).rows;
  const sql = neon(connectionString, options);
  if (queries) return sql.transaction(queries.map((item) => sql.query(item.query, decode(item.params))));
  return sql.query(query, decode(params));
}

const outcomes = [];
for (const operation of operations) {
  try {
    const result = await run(operation);
    outcomes.push({ result: encode(operation.options?.fullResults ? pick(result) : result) });
  } catch (error) {
    const fields = Object.fromEntries(FIELDS.map((name) => [name, error[name]]));
    outcomes.push({ error: encode({ name: error.name, isNeonDbError: error instanceof NeonDbError, message: error.message, ...fields }) });
  }
}
await client?.end();
process.stdout.write(JSON.stringify(outcomes));

// Remove the members of a full result that do not come from the server.
function pick(result) {
  if (Array.isArray(result)) return result.map(pick);
  const { fields, rows, command, rowCount, rowAsArray } = result;
  return { fields, rows, command, rowCount, rowAsArray };
}
