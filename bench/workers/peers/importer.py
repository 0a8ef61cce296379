"""Imports what it is told to, and says what is loaded then; how long it took is seen from outside."""

import importlib
import json
import sys
from typing import Any

import js
from workers import Request, WorkerEntrypoint


class Default(WorkerEntrypoint):
    """The entry point."""

    async def fetch(self, request: Request) -> Any:
        """Import the modules of a JSON list; `module:name` asks for a name of it too, which some packages load late."""
        for each in json.loads(await request.text()):
            module, _, name = each.partition(":")
            found = importlib.import_module(module)
            if name:
                getattr(found, name)
        return js.Response.new(json.dumps(list(sys.modules)))
