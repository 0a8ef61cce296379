"""Access to Postgres: connection pool, connections, prepared statements, results."""
