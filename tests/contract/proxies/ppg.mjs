// Execute statements with the real client of Prisma Postgres, npm's @prisma/ppg, against any server.
//
// Standard input: {"endpoint", "username", "password", "database", "statements": [[sql, [parameter, …]], …]}. Prints a
// JSON array of outcomes: rows with text values, or for an error {"code", "constraint"} of Postgres or {"status"} of HTTP.

import { text } from 'node:stream/consumers'
import { client } from '@prisma/ppg'

const { statements, ...transportConfig } = JSON.parse(await text(process.stdin))
// Without parsers the client returns values as they were received.
const { query } = client({ transportConfig })

const outcomes = []
for (const [sql, parameters] of statements) {
  try {
    const { rows } = await query(sql, ...parameters)
    outcomes.push((await rows.collect()).map((row) => row.values))
  } catch (error) {
    outcomes.push({ code: error.code, constraint: error.details?.constraint, status: error.status })
  }
}
console.log(JSON.stringify(outcomes))
