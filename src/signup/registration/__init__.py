"""The use case of a sign-up: create a user exactly once."""
