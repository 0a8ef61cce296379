"""The least that a Python Worker with a database does: one bare fetch, the same for every request."""

from typing import Any

import js
from pyodide.ffi import to_js
from workers import WorkerEntrypoint


class Default(WorkerEntrypoint):
    """Send a constant statement."""

    async def fetch(self, request: Any) -> Any:  # noqa: ARG002 - it is not read
        """Return the data proxy's response."""
        headers = {"content-type": "application/json", "authorization": self.env.AUTHORIZATION}
        options = {"method": "POST", "headers": headers, "body": self.env.STATEMENT}
        answer = await js.fetch(self.env.ENDPOINT, to_js(options, dict_converter=js.Object.fromEntries))
        return js.Response.new(await answer.text(), status=201)
