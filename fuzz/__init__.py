"""Generated input: requests to the running Worker, and bytes for its parsers."""
