"""The least that a Python Worker does: it answers the same to everybody."""

from typing import Any

import js
from workers import Request, WorkerEntrypoint


class Default(WorkerEntrypoint):
    """The entry point."""

    async def fetch(self, request: Request) -> Any:  # noqa: ARG002 - it is not looked at
        """Answer."""
        return js.Response.new('{"msg": "User created"}', status=201)
