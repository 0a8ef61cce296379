"""The least that a Python Worker does: it answers the same to everybody."""

from typing import Any

import js


async def on_fetch(request: Any) -> Any:  # noqa: ARG001 - it is not looked at
    """Answer."""
    return js.Response.new('{"msg": "User created"}', status=201)
