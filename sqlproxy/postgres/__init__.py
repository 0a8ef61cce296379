"""Access to Postgres: the connection pool, connections, prepared statements and results."""
