"""The HTTP server: connections, routes and authentication."""
