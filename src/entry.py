"""The Worker's entry point: workerd calls `Default.fetch` once a request."""

from typing import Any

from workers import Request, WorkerEntrypoint

from signup import edge


class _Bindings:
    """Keeps what a request is given.

    workers-runtime-sdk wraps the `__init__` of each entry point, so that bindings take Python's values and `waitUntil`
    its coroutines. Ours needs neither, so it has its own, which is not wrapped: that is a tenth of what a request costs
    before any code of ours runs.
    """

    def __init__(self, ctx: Any, env: Any) -> None:
        self.ctx = ctx
        self.env = env


class Default(_Bindings, WorkerEntrypoint):
    """The Worker's only entry point."""

    async def fetch(self, request: Request) -> Any:
        """Answer one HTTP request; what goes wrong is a problem details answer, never an exception."""
        return await edge.fetch(request.js_object, self.env)
