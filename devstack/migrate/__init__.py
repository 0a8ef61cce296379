"""Migrations, and the import of an older stack's users."""
