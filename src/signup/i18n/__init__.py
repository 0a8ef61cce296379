"""Texts in each language."""
