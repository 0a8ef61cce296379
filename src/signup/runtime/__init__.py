"""The interface to workerd: requests, responses, fetch, key derivation and bindings."""
