"""The HTTP side: connections, routes, tokens."""
