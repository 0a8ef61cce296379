"""The Worker's entry point: workerd calls `Default.fetch` once a request."""

from typing import Any

from workers import Request, WorkerEntrypoint

from signup import edge


class Default(WorkerEntrypoint):
    """The Worker's only entry point."""

    async def fetch(self, request: Request) -> Any:
        """Answer one HTTP request; what goes wrong is a problem details answer, never an exception."""
        return await edge.fetch(request.js_object, self.env)
