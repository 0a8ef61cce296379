"""One module for each language, named after its tag (RFC 5646), such as `de`."""
