"""The Worker's entry point: workerd calls `Default.fetch` for each request."""

from typing import Any

from workers import WorkerEntrypoint

from signup.runtime.server import serve


class Default(WorkerEntrypoint):
    """Translate between workerd and the application."""

    async def fetch(self, request: Any) -> Any:
        """Return the response to one HTTP request; errors are problem details responses, never exceptions."""
        return await serve(request.js_object, self.env)
