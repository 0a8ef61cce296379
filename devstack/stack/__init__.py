"""The services of `make dev`: Postgres, sqlproxy and wrangler."""
