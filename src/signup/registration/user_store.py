"""Users in Postgres: one statement, one round trip."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from pydantic import SecretStr

from signup.database.proxy import Rows
from signup.fields.models import STORED, User
from signup.json_codec import encode
from signup.problems import EmailTaken, ProxyUnavailable

_COLUMNS = ", ".join(f'"{name}"' for name in STORED)
# The function takes the stored fields, the password and the key.
_ARGUMENTS = [f"${number + 1}" for number in range(len(STORED) + 2)]
# The function in prisma/migrations inserts a user, or returns the user that a request with this key created, or returns
# no row if the address is taken. The unique index enforces uniqueness. The caller needs no privilege on the table. The
# key is returned too, to detect the response to another request.
_SELECTED = (
    f'SELECT "key", "id", {_COLUMNS}, '
    'to_char("created_at" AT TIME ZONE \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\'), "password"'
)
_ASKED = f'FROM (VALUES ({_ARGUMENTS[-1]}::text)) AS "asked"("key")'
SIGN_UP = f'{_SELECTED} {_ASKED} LEFT JOIN "sign_up"({", ".join(_ARGUMENTS)}) ON true'
# The function that also records messages, given by its last argument in JSON, and returns the verification state.
SIGN_UP_RECORDED = (
    f'{_SELECTED}, CASE WHEN "id" IS NOT NULL THEN ("email_verified_at" IS NOT NULL)::text END '
    f'{_ASKED} LEFT JOIN "sign_up_recorded"({", ".join(_ARGUMENTS)}, ${len(_ARGUMENTS) + 1}) ON true'
)
# The columns of a row, after the key.
_ROW = ("id", *STORED, "created_at", "password")


@dataclass(slots=True)
class Entry:
    """The user with an idempotency key.

    Args:
        user: the user, as the first request with this key created it.
        password: None if this statement created the user, else the stored PHC string.
        email_verified: whether the address is verified; None if the store does not report it.
    """

    user: User
    password: SecretStr | None
    email_verified: bool | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """The messages that a sign-up records with the user.

    Args:
        verify: whether to send the user a mail with a verification link.
        ttl: seconds after which a sign-up may replace a user whose address is not verified.
        webhook: whether to send the application an event.
        conceal: whether to send the owner of a taken address a mail.
    """

    verify: bool
    ttl: int
    webhook: bool
    conceal: bool

    def options(self, language: str) -> str:
        """Return the last argument of `SIGN_UP_RECORDED`."""
        return encode({**asdict(self), "language": language}).decode()


class Statements(Protocol):
    """Runs statements that are safe to repeat."""

    async def execute(self, statement: str, parameters: Sequence[str | None], deadline: float) -> Rows:
        """Run a statement; return its rows, or raise a `Problem`, by `deadline`."""
        ...


class UserStore(Protocol):
    """Stores users."""

    async def add(
        self, fields: Sequence[str | None], password: SecretStr, key: bytes, *, deadline: float, language: str = ""
    ) -> Entry:
        """Store a new user once for each key, even if called repeatedly.

        Args:
            fields: the values of the `STORED` fields.
            password: a PHC string.
            key: 32 bytes.
            deadline: the time by which to return, in seconds on the monotonic clock.
            language: the language of mails to the user.

        Raises:
            EmailTaken: a user with this address was created with another key.
            Problem: it is unknown whether the user was stored.
        """
        ...


class PostgresUserStore:
    """The users in the table of prisma/migrations.

    Args:
        statements: runs the statements.
        recording: the messages to record with a user; None for none.
    """

    def __init__(self, statements: Statements, recording: Recording | None = None) -> None:
        self._statements = statements
        self._recording = recording

    async def add(
        self, fields: Sequence[str | None], password: SecretStr, key: bytes, *, deadline: float, language: str = ""
    ) -> Entry:
        """Insert the user and the messages with one statement."""
        statement, parameters = SIGN_UP, (*fields, password.get_secret_value(), key.hex())
        if self._recording is not None:
            statement, parameters = SIGN_UP_RECORDED, (*parameters, self._recording.options(language))
        rows = await self._statements.execute(statement, parameters, deadline)
        try:
            ((returned_key, *values),) = rows
            verified = values.pop() if self._recording is not None else None
            row = dict(zip(_ROW, values, strict=True))
            if returned_key != key.hex():
                # The data proxy, or a proxy in front of it, mixed up two responses. The client must not get this row.
                raise ProxyUnavailable("mismatched_row")
            if set(values) == {None}:
                raise EmailTaken
            stored = row.pop("password")
            user = User.model_validate(row)
            password_hash = None if stored is None else SecretStr(stored)
            return Entry(user, password_hash, None if verified is None else verified == "true")
        except (ValueError, IndexError):
            # It is unknown whether the user was stored. No supported data proxy responds like this.
            raise ProxyUnavailable("invalid_response") from None
