// Prisma's own query-plan executor, which implements Accelerate's protocol, as an HTTP server in front of any Postgres.
//
// Environment: DATABASE_URL (postgres://…), API_KEY, QUERY_TIMEOUT (an ISO 8601 duration, default PT3S).
// Prints {"port": N} when it listens on 127.0.0.1.

import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { context } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import executor from '@prisma/query-plan-executor'

// The executor keeps its logger in the context; without a context manager every request fails with 500.
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())

const { API_KEY, DATABASE_URL, QUERY_TIMEOUT = 'PT3S' } = process.env
const engine = await executor.Server.create({
  databaseUrl: DATABASE_URL,
  maxResponseSize: executor.parseSize('10 MiB'),
  queryTimeout: executor.parseDuration(QUERY_TIMEOUT),
  maxTransactionTimeout: executor.parseDuration('PT5S'),
  maxTransactionWaitTime: executor.parseDuration('PT5S'),
  perRequestLogContext: { logFormat: 'text', logLevel: 'off' },
})

const digest = (text) => createHash('sha256').update(text).digest()
const expected = digest(`Bearer ${API_KEY}`)

const server = createServer(async (incoming, outgoing) => {
  try {
    // The executor does not check the API key, so this server must.
    if (!timingSafeEqual(digest(incoming.headers.authorization ?? ''), expected)) {
      incoming.resume()
      outgoing.writeHead(401).end('Invalid API Key')
      return
    }
    const body = incoming.method === 'POST' ? { body: Readable.toWeb(incoming), duplex: 'half' } : {}
    const request = new Request(`http://127.0.0.1${incoming.url}`, {
      method: incoming.method,
      headers: Object.entries(incoming.headers),
      ...body,
    })
    const response = await engine.fetch(request)
    outgoing.writeHead(response.status, Object.fromEntries(response.headers))
    outgoing.end(Buffer.from(await response.arrayBuffer()))
  } catch (error) {
    console.error(error)
    outgoing.destroy()
  }
})

server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))
