"""The HTTP server: connections, routes, authentication."""
