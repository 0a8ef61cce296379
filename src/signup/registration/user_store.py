"""Users in Postgres: one statement, one round trip."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from signup.database.proxy import Rows
from signup.fields.models import User
from signup.problems import EmailTaken, ProxyUnavailable

# Uniqueness is the index's. The function, of prisma/migrations, inserts a user; or returns the one that a request with
# this key made; or returns no row, when the address is taken. A caller needs no right on the table. The key comes back
# with every answer, which shows that it is the answer to this statement and not to another request's.
SIGN_UP = """\
SELECT "key", "id", "name", "email", \
to_char("created_at" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), "password" \
FROM (VALUES ($4::text)) AS "asked"("key") LEFT JOIN "sign_up"($1, $2, $3, $4) ON true\
"""
# A data proxy, or what stands in front of it, mixed up the answers of two clients. The row must not reach this one.
FOREIGN_ROW = "the data proxy returned the row of another request"


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

    async def execute(self, statement: str, parameters: Sequence[str | None], deadline: float) -> Rows:
        """Run one; the answer is there, or a `Problem` raised, by `deadline`."""
        ...


class UserStore(Protocol):
    """Where users are kept."""

    async def add(self, name: str, email: str, password: SecretStr, key: bytes, *, deadline: float) -> Entry:
        """Keep a new user, whose password is a PHC string, once for each key of 32 bytes, however often it is asked to.

        `deadline` is when the answer must be there, in seconds on the monotonic clock.

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

    async def add(self, name: str, email: str, password: SecretStr, key: bytes, *, deadline: float) -> Entry:
        """Insert, and read the answer."""
        parameters = (name, email, password.get_secret_value(), key.hex())
        rows = await self._statements.execute(SIGN_UP, parameters, deadline)
        try:
            ((returned_key, number, name_there, email_there, created_at, stored),) = rows
            if returned_key != key.hex():
                raise ProxyUnavailable(FOREIGN_ROW)
            if number is None and email_there is None:
                raise EmailTaken
            row = {"id": number, "name": name_there, "email": email_there, "created_at": created_at}
            return Entry(User.model_validate(row), None if stored is None else SecretStr(stored))
        except ValueError:
            # The row may be there or not: this is not the answer of a data proxy of ours.
            raise ProxyUnavailable("the data proxy's answer is not a user") from None
