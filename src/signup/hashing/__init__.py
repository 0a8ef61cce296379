"""Password hashing, named keys and signed tokens."""
