"""What touches workerd: requests, responses, fetch, the native key derivation function."""
