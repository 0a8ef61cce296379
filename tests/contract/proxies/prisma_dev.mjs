// A `prisma dev` server: Accelerate's protocol in front of PGlite, which is Postgres in WebAssembly.
//
// Environment: PORTS, four free ports separated by commas. Prints {"url", "database"} when it is ready, where url is the
// prisma+postgres:// URL and database the URL of PGlite.

import { context } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { startPrismaDevServer } from '@prisma/dev'

// The server's executor keeps its logger in the context; without a context manager every request fails with 500.
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())

const [port, databasePort, shadowDatabasePort, streamsPort] = process.env.PORTS.split(',').map(Number)
const server = await startPrismaDevServer({
  name: `contract-${process.pid}`,
  persistenceMode: 'stateless',
  port,
  databasePort,
  shadowDatabasePort,
  streamsPort,
})
console.log(JSON.stringify({ url: server.ppg.url, database: server.database.connectionString }))
process.on('SIGTERM', async () => {
  await server.close()
  process.exit()
})
