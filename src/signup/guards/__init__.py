"""Checks that may refuse a sign-up before the password is hashed."""
