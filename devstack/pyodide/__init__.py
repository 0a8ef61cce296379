"""Python for workerd, built from npm's `pyodide`."""
