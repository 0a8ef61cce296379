"""A local Postgres server, and connections to the operator's database."""
