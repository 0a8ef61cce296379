// Record the requests of the reference clients for one statement: npm's @neondatabase/serverless, @prisma/ppg, @prisma/client.
//
// Standard input: {"client": path of the generated Prisma client, "sql", "parameters", "key"}. Prints {"neon", "ppg",
// "prisma"}, each {"path", "headers", "body"} of the request.

import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { neon, neonConfig } from '@neondatabase/serverless'
import { client } from '@prisma/ppg'

const { client: generated, sql, parameters, key } = JSON.parse(await text(process.stdin))
const { PrismaClient } = await import(generated)

// A response without rows that is valid in every dialect, and for the first request of Prisma's client.
const ANSWER = JSON.stringify({
  ...{ fields: [], rows: [], complete: true, data: { columns: [], types: [], rows: [] } },
  ...{ provider: 'postgres', connectionInfo: { supportsRelationJoins: true } },
})
let request
const server = createServer(async (incoming, outgoing) => {
  request = { path: incoming.url, headers: incoming.headers, body: await text(incoming) }
  outgoing.writeHead(200, { 'content-type': 'application/json' }).end(ANSWER)
})
await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
const { port } = server.address()
const endpoint = `http://127.0.0.1:${port}`
const recorded = {}

neonConfig.fetchEndpoint = () => `${endpoint}/sql`
neonConfig.disableWarningInBrowsers = true
await neon(`postgres://user:${key}@ep-x-1.eu.aws.neon.tech/db`).query(sql, parameters)
recorded.neon = request

await client({ transportConfig: { endpoint, username: 'id', password: key, database: 'db' } }).query(sql, ...parameters)
recorded.ppg = request

const prisma = new PrismaClient({ accelerateUrl: `prisma+postgres://127.0.0.1:${port}/?api_key=${key}` })
await prisma.$queryRawUnsafe(sql, ...parameters)
recorded.prisma = request

console.log(JSON.stringify(recorded))
server.close()
server.closeAllConnections()
