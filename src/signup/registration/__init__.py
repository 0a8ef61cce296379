"""The use case: create a user once."""
