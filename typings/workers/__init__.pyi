# What this Worker uses of workers-runtime-sdk, which cannot be imported, or typed, outside workerd.
from collections.abc import Awaitable
from typing import Any

class Request:
    @property
    def js_object(self) -> Any: ...

class Response:
    def __init__(self, body: str) -> None: ...

class WorkerEntrypoint:
    env: Any
    ctx: Any

def wait_until(awaitable: Awaitable[None]) -> None: ...
def import_from_javascript(module_name: str) -> Any: ...
