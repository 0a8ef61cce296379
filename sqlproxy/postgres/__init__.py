"""The Postgres side: pool, connections, statements, results."""
