"""Users in Postgres: one statement, one round trip."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from signup.models import User
from signup.problems import EmailTaken, ProxyUnavailable
from signup.proxies import Rows

# Uniqueness is the index's. The function, of prisma/migrations, inserts a user; or returns the one that a request with
# this key made; or returns no row, when the address is taken. Whoever may call it needs no right on the table.
SIGN_UP = """\
SELECT "id", "name", "email", to_char("created_at" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), "password" \
FROM "sign_up"($1, $2, $3, $4)\
"""


@dataclass(slots=True)
class Entry:
    """What the database has under an idempotency key.

    Args:
        user: as the request made it that came first.
        password: None when that was this very statement, else that user's PHC string.
    """

    user: User
    password: SecretStr | None


class Statements(Protocol):
    """A way to run statements that are safe to repeat."""

    async def execute(self, statement: str, parameters: Sequence[str | None], end: float) -> Rows:
        """Run one; the answer is there, or a `Problem` raised, by `end`."""
        ...


class UserStore(Protocol):
    """Where users are kept."""

    async def add(self, name: str, email: str, password: SecretStr, key: bytes, *, end: float) -> Entry:
        """Keep a new user, whose password is a PHC string, once for each key of 32 bytes, however often it is asked to.

        `end` is when the answer must be there, in seconds on the monotonic clock.

        Raises:
            EmailTaken: there is one with this address, made with another key.
            Problem: it is not known to be kept.
        """
        ...


class PostgresUserStore:
    """Users in the table that prisma/migrations makes.

    Args:
        statements: the way to the database.
    """

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def add(self, name: str, email: str, password: SecretStr, key: bytes, *, end: float) -> Entry:
        """Insert, and read the answer."""
        parameters = (name, email, password.get_secret_value(), key.hex())
        rows = await self._statements.execute(SIGN_UP, parameters, end)
        if not rows:
            raise EmailTaken
        try:
            ((number, name_there, email_there, created_at, stored),) = rows
            row = {"id": number, "name": name_there, "email": email_there, "created_at": created_at}
            return Entry(User.model_validate(row), None if stored is None else SecretStr(stored))
        except ValueError:
            # The row may be there or not: whoever answers like this is not our proxy.
            raise ProxyUnavailable("the data proxy's answer is not a user") from None
