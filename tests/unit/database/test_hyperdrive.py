"""The Hyperdrive proxy with a fake binding; tests/contract/proxies uses a real Postgres server."""

from collections.abc import Sequence

import pytest
from pydantic import SecretStr

from signup.database.dialects.choose import choose
from signup.database.dialects.hyperdrive import Hyperdrive, Outcome
from signup.problems import DatabaseError, Misconfigured, Problem, ProxyBusy, ProxyTimeout, ProxyUnavailable
from tests.fakes import Warnings, stock_http

pytestmark = pytest.mark.anyio
PARAMETERS = ("canary_name", None)


class Binding:
    """A fake binding that returns one outcome and records its calls."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.calls: list[tuple[str, Sequence[str | None], float]] = []

    async def execute(self, statement: str, parameters: Sequence[str | None], seconds: float) -> Outcome:
        """Record the call, and return the outcome."""
        self.calls.append((statement, parameters, seconds))
        return self.outcome


async def test_a_statement_returns_its_rows() -> None:
    """The binding gets the statement, the parameters and the timeout."""
    binding = Binding(Outcome([["1", None]]))
    assert await Hyperdrive(binding.execute, 2.5).execute("SELECT $1", PARAMETERS) == [["1", None]]
    assert binding.calls == [("SELECT $1", PARAMETERS, 2.5)]


@pytest.mark.parametrize(
    ("outcome", "problem", "reason"),
    [
        (Outcome(sqlstate="22012"), DatabaseError, "database_error"),
        (Outcome(sqlstate="57014"), ProxyTimeout, "statement_cancelled"),
        (Outcome(sqlstate="57P01"), ProxyUnavailable, "database_unavailable"),
        (Outcome(sqlstate="53300"), ProxyBusy, "no_free_connection"),
        (Outcome(sqlstate="28P01"), Misconfigured, "HYPERDRIVE has a login or database name .*28P01"),
        (Outcome(sqlstate="42883"), Misconfigured, "HYPERDRIVE points to a database that lacks .*42883"),
        (Outcome(sqlstate="canary"), ProxyUnavailable, "invalid_response"),
        (Outcome(failure="TimeoutError"), ProxyTimeout, "statement_timeout"),
        (Outcome(failure="TooLarge"), ProxyUnavailable, "response_too_large"),
        (Outcome(failure="SCRAM"), Misconfigured, r"HYPERDRIVE .*\(set scram_iterations"),
        (Outcome(failure="Error"), ProxyUnavailable, "unreachable"),
    ],
)
async def test_failures_raise_problems(outcome: Outcome, problem: type[Problem], reason: str) -> None:
    """SQLSTATEs are mapped as in the other dialects; the problem does not quote an invalid SQLSTATE."""
    with pytest.raises(problem, match=reason) as caught:
        await Hyperdrive(Binding(outcome).execute, 5).execute("SELECT $1", PARAMETERS)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(("constraint", "logged"), [("User_email_key", "User_email_key"), ("x_canary_name", "")])
async def test_a_constraint_is_named_unless_it_contains_a_parameter(constraint: str, logged: str) -> None:
    """A name that contains a parameter could reveal a value of the request."""
    binding = Binding(Outcome(sqlstate="23505", constraint=constraint))
    with pytest.raises(DatabaseError) as caught:
        await Hyperdrive(binding.execute, 5).execute("INSERT", PARAMETERS)
    assert caught.value.constraint == logged


async def test_the_url_needs_a_binding() -> None:
    """The URL is exactly `hyperdrive:`; without the binding, the error names HYPERDRIVE."""
    proxy = Hyperdrive(Binding(Outcome([])).execute, 5)
    async with stock_http() as http:
        assert choose(SecretStr("hyperdrive:"), http, Warnings(), connect_hyperdrive=lambda: proxy) is proxy
        with pytest.raises(Misconfigured, match=r"^HYPERDRIVE is not bound") as caught:
            choose(SecretStr("hyperdrive:"), http, Warnings())
        assert caught.value.setting == "HYPERDRIVE"
        for url in ("hyperdrive://canary/", "hyperdrive:canary"):
            with pytest.raises(Misconfigured, match=r"^DATABASE_URL ") as caught:
                choose(SecretStr(url), http, Warnings(), connect_hyperdrive=lambda: proxy)
            assert "canary" not in str(caught.value)
