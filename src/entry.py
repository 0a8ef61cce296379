"""The Worker's entry point: workerd calls `Default.fetch` for each request, and `Default.scheduled` every minute."""

from typing import Any

from workers import WorkerEntrypoint

from signup.runtime.server import deliver, serve


class Default(WorkerEntrypoint):
    """The handlers that workerd calls. They pass requests and scheduled runs to `signup.runtime`."""

    async def fetch(self, request: Any) -> Any:
        """Return the response to one HTTP request. Errors become responses, never exceptions."""
        return await serve(request.js_object, self.env)

    async def scheduled(self, controller: Any, env: Any = None, ctx: Any = None) -> None:  # noqa: ARG002 - interface
        """Deliver messages of the outbox that are due."""
        await deliver(self.env)
