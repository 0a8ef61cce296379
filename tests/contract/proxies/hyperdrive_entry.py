"""A Worker that runs statements over Hyperdrive for the contract tests, with the modules of the real Worker.

The body of `POST /` has statements to run first, the statement, its parameters, the timeout in seconds, members to
replace in the binding, and the driver's module. The response has the rows, or the problem's class with its SQLSTATE,
constraint and reason.
"""

import json
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any

from pydantic import SecretStr
from workers import Response, WorkerEntrypoint, import_from_javascript

from signup.database.dialects import hyperdrive
from signup.database.dialects.choose import choose
from signup.http_client import Http
from signup.problems import Problem
from signup.runtime import hyperdrive as runtime
from signup.runtime.server import FetchTransport

edge = import_from_javascript("./edge.mjs")
MEMBERS = ("host", "port", "user", "password", "database")


class Default(WorkerEntrypoint):
    """The test Worker."""

    async def fetch(self, request: Any) -> Any:
        """Run the statements of a request."""
        if request.method != "POST":
            return Response("{}")
        body = json.loads(await request.text())
        runtime.DRIVER = body["driver"]
        real = {name: getattr(self.env.HYPERDRIVE, name) for name in MEMBERS}
        binding = SimpleNamespace(**{**real, **body["binding"]})
        execute = partial(runtime.execute, edge.importModule, binding)
        connect = partial(hyperdrive.connect, execute, body["seconds"])
        http = Http(FetchTransport(), 1)
        proxy = choose(SecretStr("hyperdrive:"), http, lambda _, **__: None, connect_hyperdrive=connect)
        for first in body["first"]:
            with suppress(Problem):
                await proxy.execute(first)
        try:
            rows = await proxy.execute(body["statement"], body["parameters"])
        except Problem as problem:
            members = {name: getattr(problem, name, "") for name in ("sqlstate", "constraint", "reason")}
            return Response(json.dumps({"problem": type(problem).__name__, **members}))
        return Response(json.dumps({"rows": rows}))
