"""Verification in Postgres. Each operation is one repeatable statement, which calls a function of prisma/migrations."""

from collections.abc import Sequence
from typing import Protocol

from signup.database.proxy import Rows
from signup.json_codec import encode
from signup.problems import ProxyUnavailable

# Each statement also returns the id and address, or only the address, so that a response to another request is
# detected.
VERIFY = 'SELECT $1::text, $2::text, "verify_email"($1, $2, $3)'
REMOVE = 'SELECT $1::text, $2::text, "remove_unverified_user"($1, $2)::text'
REQUEST = 'SELECT $1::text, "request_verification"($1, $2)'


class Statements(Protocol):
    """Runs statements that are safe to repeat."""

    async def execute(self, statement: str, parameters: Sequence[str | None], deadline: float) -> Rows:
        """Run a statement; return its rows, or raise a `Problem`, by `deadline`."""
        ...


class VerificationStore(Protocol):
    """Records verifications, removals, and requests for another e-mail."""

    async def verify(self, user_id: str, email: str, *, deadline: float) -> str:
        """Record that the user's address is verified. Return `verified`, `already_verified` or `unknown`."""
        ...

    async def remove(self, user_id: str, email: str, *, deadline: float) -> bool:
        """Remove the user if the address had to be verified and is not. Return whether a user was removed."""
        ...

    async def request(self, email: str, language: str, *, deadline: float) -> None:
        """Record an e-mail for the unverified user with this address, if any.

        No e-mail is recorded while an earlier one is pending, or if the last one is too recent.
        """
        ...


class PostgresVerificationStore:
    """A `VerificationStore` over the table that prisma/migrations creates.

    Args:
        statements: runs the statements.
        webhook: whether to report a verification to the application.
    """

    def __init__(self, statements: Statements, *, webhook: bool) -> None:
        self._statements = statements
        self._options = encode({"webhook": webhook}).decode()

    async def verify(self, user_id: str, email: str, *, deadline: float) -> str:
        """Run `VERIFY`."""
        return await self._run(VERIFY, (user_id, email), (user_id, email, self._options), deadline)

    async def remove(self, user_id: str, email: str, *, deadline: float) -> bool:
        """Run `REMOVE`."""
        return await self._run(REMOVE, (user_id, email), (user_id, email), deadline) == "true"

    async def request(self, email: str, language: str, *, deadline: float) -> None:
        """Run `REQUEST`."""
        await self._run(REQUEST, (email,), (email, encode({"language": language}).decode()), deadline)

    async def _run(self, statement: str, expected: tuple[str, ...], parameters: Sequence[str], deadline: float) -> str:
        rows = await self._statements.execute(statement, parameters, deadline)
        *returned, result = rows[0] if len(rows) == 1 and rows[0] else [None]
        if tuple(returned) != expected or result is None:
            raise ProxyUnavailable("mismatched_row")
        return result
