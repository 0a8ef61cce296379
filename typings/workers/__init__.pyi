# The parts of workers-runtime-sdk that the Worker uses. The package can be imported only in workerd.
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
