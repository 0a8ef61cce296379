"""Neon's SQL over HTTP: requests and results as JSON."""
