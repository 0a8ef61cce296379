"""Statements over the binding HYPERDRIVE, through `hyperdrive.mjs`. Imported only with this binding."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from pydantic_core import from_json, to_json
from workers import import_from_javascript

from signup.database.dialects.hyperdrive import BINDING, Outcome
from signup.problems import Misconfigured

DRIVER = "./hyperdrive.mjs"
# The maximum size of a result, in characters. Results of the Worker's statements are much smaller.
LARGEST_RESULT = 1024 * 1024


@cache
def load_driver() -> Any:
    """Return the module `hyperdrive.mjs`, which the first call imports.

    Raises:
        Misconfigured: the module is not deployed.
    """
    try:
        return import_from_javascript(DRIVER)
    except ImportError as exc:
        raise Misconfigured(
            BINDING,
            'is bound, but its driver is not deployed: add "hyperdrive.mjs" and "pg.mjs" to the first rule in '
            "wrangler.toml, and run `make setup`",
        ) from exc


async def execute(binding: Any, statement: str, parameters: Sequence[str | None], seconds: float) -> Outcome:
    """Run one statement over the binding; see `signup.database.dialects.hyperdrive.Execute`."""
    outcome = await load_driver().execute(
        binding, statement, to_json(parameters).decode(), round(seconds * 1000), LARGEST_RESULT
    )
    if (rows := getattr(outcome, "rows", None)) is not None:
        return Outcome(from_json(rows))
    sqlstate, constraint, failure = (getattr(outcome, name, "") for name in ("sqlstate", "constraint", "failure"))
    return Outcome(None, sqlstate, constraint, failure)
