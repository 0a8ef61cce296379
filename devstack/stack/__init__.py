"""`make dev`: the local stack."""
