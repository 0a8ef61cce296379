"""Statements over the binding HYPERDRIVE, through `hyperdrive.mjs`. Imported only with this binding."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pydantic_core import from_json, to_json
from pyodide.ffi import JsException

from signup.database.dialects.hyperdrive import BINDING, Outcome
from signup.problems import Misconfigured

# Imports a JavaScript module of the Worker.
ImportModule = Callable[[str], Awaitable[Any]]

DRIVER = "./hyperdrive.mjs"
# The maximum size of a result, in characters. Results of the Worker's statements are much smaller.
LARGEST_RESULT = 1024 * 1024

# The imported modules by path. Importing a module again would take half a millisecond.
_modules: dict[str, Any] = {}


async def execute(
    import_module: ImportModule, binding: Any, statement: str, parameters: Sequence[str | None], seconds: float
) -> Outcome:
    """Run one statement over the binding; see `signup.database.dialects.hyperdrive.Execute`.

    Args:
        import_module: imports the driver without suspending Python's stack; `signup.runtime.server` states why.
        binding: the binding HYPERDRIVE.
        statement: the SQL statement.
        parameters: the values of its parameters.
        seconds: the timeout.

    Raises:
        Misconfigured: the driver is not deployed.
    """
    if DRIVER not in _modules:
        try:
            _modules[DRIVER] = await import_module(DRIVER)
        except JsException as exc:
            raise Misconfigured(
                BINDING,
                'is bound, but its driver is not deployed: add "hyperdrive.mjs" and "pg.mjs" to the first rule in '
                "wrangler.toml, and run `make setup`",
            ) from exc
    outcome = await _modules[DRIVER].execute(
        binding, statement, to_json(parameters).decode(), round(seconds * 1000), LARGEST_RESULT
    )
    if (rows := getattr(outcome, "rows", None)) is not None:
        return Outcome(from_json(rows))
    sqlstate, constraint, failure = (getattr(outcome, name, "") for name in ("sqlstate", "constraint", "failure"))
    return Outcome(None, sqlstate, constraint, failure)
