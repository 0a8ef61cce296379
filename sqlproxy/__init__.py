"""SQL over HTTP, in Neon's dialect, in front of any Postgres: many short-lived clients, few connections.

``POST /sql`` runs one statement, or several as one transaction, on one of at most N pooled connections. When all are
busy a request waits for one, for a bounded time in a bounded queue, and is then told to come back. ``python -m sqlproxy
--help`` lists every setting; ``errors.py`` lists what can go wrong and what each answer means for the statement.

From the outside in: ``operations.worker_processes`` (several processes) → ``server`` (one of them, to its end) →
``http.app`` → ``postgres.database`` (a request's statements and their transaction) → ``postgres.pool`` →
``postgres.connection`` (libpq). ``dialect`` reads and writes Neon's JSON.
"""
