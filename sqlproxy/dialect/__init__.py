"""Neon's SQL over HTTP: requests and responses as JSON."""
