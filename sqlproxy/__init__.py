"""An HTTP proxy for any Postgres server. Many short-lived clients share a few database connections.

It speaks the protocol of Neon's serverless driver (SQL over HTTP).

`POST /sql` runs one statement, or several as one transaction, on one of at most `--pool-size` connections. When
all are busy, a request waits in a queue. It gets a 503 response if the queue is full or the wait takes too long.
`python -m sqlproxy --help` lists every setting; `errors.py` lists every error response.

Layers, outermost first: `operations.worker_processes` (the supervisor) → `server` (one process) → `http.app` →
`postgres.database` (the statements and transaction of a request) → `postgres.pool` → `postgres.connection` (libpq).
`dialect` reads and writes Neon's JSON.
"""
