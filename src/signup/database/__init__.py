"""Access to Postgres through a pooled HTTP proxy."""
