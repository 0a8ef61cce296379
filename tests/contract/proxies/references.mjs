// Record the requests of the reference clients for one statement: npm's @neondatabase/serverless, @prisma/ppg, @prisma/client.
//
// Standard input: {"client": path of the generated Prisma client, "sql", "parameters", "key", "urls"}. `urls` has the
// connection strings of hosts with Neon's protocol, by name. Prints an object with a request for each of these names, for
// "ppg" and for "prisma": {"path", "headers", "body"}, and for the hosts also "url", the URL that the driver chose.

import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { neon, neonConfig } from '@neondatabase/serverless'
import { client } from '@prisma/ppg'

const { client: generated, sql, parameters, key, urls } = JSON.parse(await text(process.stdin))
const { PrismaClient } = await import(generated)

// A response without rows that is valid in every dialect, and also answers the first request of Prisma Client.
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

neonConfig.disableWarningInBrowsers = true
const defaultEndpoint = neonConfig.fetchEndpoint
for (const [name, url] of Object.entries(urls)) {
  // PlanetScale and Xata document this endpoint for Neon's driver.
  neonConfig.fetchEndpoint = name === 'neon' ? defaultEndpoint : (host) => `https://${host}/sql`
  let address
  neonConfig.fetchFunction = (chosen, options) => {
    address = String(chosen)
    return fetch(`${endpoint}${new URL(address).pathname}`, options)
  }
  await neon(url).query(sql, parameters)
  recorded[name] = { ...request, url: address }
}

await client({ transportConfig: { endpoint, username: 'id', password: key, database: 'db' } }).query(sql, ...parameters)
recorded.ppg = request

const prisma = new PrismaClient({ accelerateUrl: `prisma+postgres://127.0.0.1:${port}/?api_key=${key}` })
await prisma.$queryRawUnsafe(sql, ...parameters)
recorded.prisma = request

console.log(JSON.stringify(recorded))
server.close()
server.closeAllConnections()
