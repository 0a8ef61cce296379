"""The languages: one module each, named after its tag (RFC 5646), such as `de`."""
