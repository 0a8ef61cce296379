"""A local Postgres server."""
