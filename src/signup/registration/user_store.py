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
# The function, of prisma/migrations, inserts a user; or returns the user that a request with this key created; or
# returns no row if the address is taken. The index decides on uniqueness. The caller needs no right on the table. The
# key is returned too, to detect the response to another request.
SIGN_UP = (
    f'SELECT "key", "id", {_COLUMNS}, '  # noqa: S608 - of the names of our own fields
    'to_char("created_at" AT TIME ZONE \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\'), "password" '
    f'FROM (VALUES ({_ARGUMENTS[-1]}::text)) AS "asked"("key") LEFT JOIN "sign_up"({", ".join(_ARGUMENTS)}) ON true'
)
# The columns of its row, after the key.
_ROW = ("id", *STORED, "created_at", "password")


@dataclass(slots=True)
class Entry:
    """The user with an idempotency key.

    Args:
        user: the user, as the first request with this key created it.
        password: None if this statement created the user, else the stored PHC string.
    """

    user: User
    password: SecretStr | None


class Statements(Protocol):
    """Runs statements that are safe to repeat."""

    async def execute(self, statement: str, parameters: Sequence[str | None], deadline: float) -> Rows:
        """Run a statement; return its rows, or raise a `Problem`, by `deadline`."""
        ...


class UserStore(Protocol):
    """Stores users."""

    async def add(self, fields: Sequence[str | None], password: SecretStr, key: bytes, *, deadline: float) -> Entry:
        """Store a new user once for each key, however often this is repeated.

        Args:
            fields: the values of the `STORED` fields.
            password: a PHC string.
            key: 32 bytes.
            deadline: the time by which to return, in seconds on the monotonic clock.

        Raises:
            EmailTaken: there is a user with this address, created with another key.
            Problem: it is not known whether the user was stored.
        """
        ...


class PostgresUserStore:
    """The users in the table of prisma/migrations.

    Args:
        statements: runs the statements.
    """

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def add(self, fields: Sequence[str | None], password: SecretStr, key: bytes, *, deadline: float) -> Entry:
        """Insert the user with one statement."""
        parameters = (*fields, password.get_secret_value(), key.hex())
        rows = await self._statements.execute(SIGN_UP, parameters, deadline)
        try:
            ((returned_key, *values),) = rows
            row = dict(zip(_ROW, values, strict=True))
            if returned_key != key.hex():
                # The data proxy, or a proxy in front of it, mixed up two responses. This client must not see the row.
                raise ProxyUnavailable("mismatched_row")
            if set(values) == {None}:
                raise EmailTaken
            stored = row.pop("password")
            return Entry(User.model_validate(row), None if stored is None else SecretStr(stored))
        except ValueError:
            # Whether the user was stored is unknown. No data proxy of ours responds like this.
            raise ProxyUnavailable("invalid_response") from None
