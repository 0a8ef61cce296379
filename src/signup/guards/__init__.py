"""Checks that may refuse a sign-up before anything is hashed."""
