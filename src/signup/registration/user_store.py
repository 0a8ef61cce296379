"""Users in Postgres: one statement, one round trip."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from signup.database.proxy import Rows
from signup.fields.models import STORED, User
from signup.problems import EmailTaken, ProxyUnavailable

_COLUMNS = ", ".join(f'"{name}"' for name in STORED)
# The function takes the stored fields, the password and the key.
_ARGUMENTS = [f"${number + 1}" for number in range(len(STORED) + 2)]
# Uniqueness is the index's. The function, of prisma/migrations, inserts a user; or returns the one that a request with
# this key made; or returns no row, when the address is taken. A caller needs no right on the table. The key comes back
# with every answer, which shows that it is the answer to this statement and not to another request's.
SIGN_UP = (
    f'SELECT "key", "id", {_COLUMNS}, '  # noqa: S608 - of the names of our own fields
    'to_char("created_at" AT TIME ZONE \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\'), "password" '
    f'FROM (VALUES ({_ARGUMENTS[-1]}::text)) AS "asked"("key") LEFT JOIN "sign_up"({", ".join(_ARGUMENTS)}) ON true'
)
# The columns of its row, after the key.
_ROW = ("id", *STORED, "created_at", "password")
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

    async def add(self, fields: Sequence[str | None], password: SecretStr, key: bytes, *, deadline: float) -> Entry:
        """Store a new user once for each key, however often this is repeated.

        Args:
            fields: the values of the `STORED` fields.
            password: a PHC string.
            key: 32 bytes.
            deadline: when the answer must be there, in seconds on the monotonic clock.

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

    async def add(self, fields: Sequence[str | None], password: SecretStr, key: bytes, *, deadline: float) -> Entry:
        """Insert, and read the answer."""
        parameters = (*fields, password.get_secret_value(), key.hex())
        rows = await self._statements.execute(SIGN_UP, parameters, deadline)
        try:
            ((returned_key, *values),) = rows
            row = dict(zip(_ROW, values, strict=True))
            if returned_key != key.hex():
                raise ProxyUnavailable(FOREIGN_ROW)
            if set(values) == {None}:
                raise EmailTaken
            stored = row.pop("password")
            return Entry(User.model_validate(row), None if stored is None else SecretStr(stored))
        except ValueError:
            # The row may be there or not: this is not the answer of a data proxy of ours.
            raise ProxyUnavailable("the data proxy's answer is not a user") from None
