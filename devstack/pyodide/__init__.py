"""A Python runtime for workerd, built from npm's `pyodide`."""
