"""Cloudflare Hyperdrive: `hyperdrive:`, or no DATABASE_URL and a binding named `HYPERDRIVE`.

Hyperdrive is Cloudflare's connection pool. The Worker speaks the Postgres protocol to it through the binding, with one
connection for each statement. `hyperdrive.mjs` implements this in workerd.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from signup.database.proxy import Rows, constraint_name, database_error
from signup.problems import Misconfigured, Problem, ProxyTimeout, ProxyUnavailable

URL = "hyperdrive:"
BINDING = "HYPERDRIVE"

_SQLSTATE = re.compile("[0-9A-Z]{5}")


class Outcome(NamedTuple):
    """The outcome of one statement.

    Args:
        rows: the rows; None if the statement failed.
        sqlstate, constraint: the error that Postgres reported; "" for none.
        failure: the name of any other failure; "" for none.
    """

    rows: Rows | None = None
    sqlstate: str = ""
    constraint: str = ""
    failure: str = ""


class Execute(Protocol):
    """Runs statements over the binding."""

    async def __call__(self, statement: str, parameters: Sequence[str | None], seconds: float, /) -> Outcome:
        """Run one statement, with a timeout in seconds.

        Raises:
            Misconfigured: the driver is not deployed.
        """
        ...


class Hyperdrive:
    """A `DataProxy` over the binding.

    Args:
        execute: runs the statements.
        seconds: the timeout of an exchange, in seconds.
    """

    def __init__(self, execute: Execute, seconds: float) -> None:
        self._execute = execute
        self._seconds = seconds

    async def execute(self, statement: str, parameters: Sequence[str | None] = ()) -> Rows:
        """Run one statement; see `DataProxy.execute`."""
        outcome = await self._execute(statement, parameters, self._seconds)
        if outcome.rows is not None:
            return outcome.rows
        raise _problem(outcome, parameters)


def connect(execute: Execute | None, seconds: float) -> Hyperdrive:
    """Return the proxy over the binding.

    Args:
        execute: runs the statements; None if there is no binding.
        seconds: the timeout of an exchange, in seconds.

    Raises:
        Misconfigured: there is no binding.
    """
    if execute is None:
        raise Misconfigured(BINDING, f'is not bound, and DATABASE_URL is "{URL}": bind it in wrangler.toml')
    return Hyperdrive(execute, seconds)


def _problem(outcome: Outcome, parameters: Sequence[str | None]) -> Problem:
    if _SQLSTATE.fullmatch(outcome.sqlstate):
        return database_error(outcome.sqlstate, constraint_name(outcome.constraint, parameters), BINDING)
    if outcome.failure == "TimeoutError":
        return ProxyTimeout("statement_timeout")
    if outcome.failure == "TooLarge":
        return ProxyUnavailable("response_too_large")
    if outcome.failure == "SCRAM":
        return Misconfigured(
            BINDING,
            "has a login that this runtime cannot authenticate: store its password as md5, or as SCRAM-SHA-256 with at "
            "most 100,000 iterations (set scram_iterations, then run ALTER ROLE … PASSWORD again)",
        )
    if outcome.sqlstate:
        return ProxyUnavailable("invalid_response")
    return ProxyUnavailable("unreachable", exception=outcome.failure)
