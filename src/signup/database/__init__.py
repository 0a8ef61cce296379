"""Access to Postgres through a data proxy, which pools connections."""
