"""The least that a Python Worker does: the same response to every request."""

from typing import Any

import js
from workers import WorkerEntrypoint


class Default(WorkerEntrypoint):
    """Respond with a constant."""

    async def fetch(self, request: Any) -> Any:  # noqa: ARG002 - it is not read
        """Return the response."""
        return js.Response.new('{"msg": "User created"}', status=201)
