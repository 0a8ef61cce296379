"""Installs what the project needs."""
