"""The operator's command line: find, export, delete and verify users."""
