"""The fields of a sign-up and their rules."""
