"""The way to Postgres over one pooled HTTP hop."""
