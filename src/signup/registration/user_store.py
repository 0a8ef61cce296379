"""Users in Postgres. A sign-up is one statement and one round trip."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from pydantic import SecretStr
from pydantic_core import from_json

from signup.database.proxy import Rows
from signup.fields.models import STORED, User
from signup.json_codec import encode
from signup.problems import BadInvitation, EmailTaken, ProxyUnavailable

_COLUMNS = ", ".join(f'"{name}"' for name in STORED)
# The arguments of the SQL function `sign_up`: the stored fields, the password and the key.
_ARGUMENTS = [f"${index + 1}" for index in range(len(STORED) + 2)]
# `sign_up` (prisma/migrations) inserts a user, returns the user that a request with this key created, or returns no row
# if the address is taken. The unique index enforces uniqueness. The caller needs no privilege on the table. The
# statement also returns the key, so that a response to another request is detected.
_SELECT = (
    f'SELECT "key", "id", {_COLUMNS}, '
    'to_char("created_at" AT TIME ZONE \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\'), "password"'
)
_FROM_KEY = f'FROM (VALUES ({_ARGUMENTS[-1]}::text)) AS "asked"("key")'
SIGN_UP = f'{_SELECT} {_FROM_KEY} LEFT JOIN "sign_up"({", ".join(_ARGUMENTS)}) ON true'
# `sign_up_recorded` also records messages and returns the verification state. Its last argument is a JSON object of
# options.
_JOIN_RECORDED = f'LEFT JOIN "sign_up_recorded"({", ".join(_ARGUMENTS)}, ${len(_ARGUMENTS) + 1}) ON true'
_VERIFIED = 'CASE WHEN "id" IS NOT NULL THEN ("email_verified_at" IS NOT NULL)::text END'
SIGN_UP_RECORDED = f"{_SELECT}, {_VERIFIED} {_FROM_KEY} {_JOIN_RECORDED}"
# The statement for sign-ups with an invitation, terms or extra fields. It also returns the extra fields and a refusal.
SIGN_UP_WITH_DETAILS = f'{_SELECT}, {_VERIFIED}, "extra", "refusal" {_FROM_KEY} {_JOIN_RECORDED}'
# The columns of a row, after the key.
_ROW = ("id", *STORED, "created_at", "password")
_ROW_RECORDED = (*_ROW, "email_verified")
_ROW_WITH_DETAILS = (*_ROW_RECORDED, "extra", "refusal")


@dataclass(slots=True)
class Entry:
    """The user that belongs to an idempotency key.

    Args:
        user: the user, which the first request with this key created.
        password: None if the statement has just created the user, else the stored PHC string.
        email_verified: whether the address is verified; None if the store does not report it.
        extra: the user's extra fields (`EXTRA_FIELDS`); None if the user has none or the setting is empty.
    """

    user: User
    password: SecretStr | None
    email_verified: bool | None = None
    extra: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class InvitationUse:
    """The use of an invitation by a sign-up.

    Args:
        id: the id of the invitation.
        uses: the maximum number of uses of the invitation.
        expires_at: the expiry, in seconds since 1970.
        verified: whether the address counts as verified.
        count_taken: whether a sign-up with a taken address counts as a use.
    """

    id: str
    uses: int
    expires_at: int
    verified: bool
    count_taken: bool


@dataclass(frozen=True, slots=True)
class Details:
    """Optional parts of a sign-up.

    Args:
        language: the language of e-mails to the user.
        terms: the version of the terms that the user accepts.
        extra: the values of the fields in `EXTRA_FIELDS`.
        invitation: the use of an invitation.
    """

    language: str = ""
    terms: str | None = None
    extra: Mapping[str, Any] | None = None
    invitation: InvitationUse | None = None


NO_DETAILS = Details()


@dataclass(frozen=True, slots=True)
class Recording:
    """The messages that a sign-up records with the user, and the lifetime of an unverified user.

    Args:
        verify: whether to send the user an e-mail with a verification link.
        ttl: seconds after which a sign-up may replace a user whose address is not verified.
        webhook: whether to send an event to the application.
        conceal: whether to send an e-mail to the owner of a taken address.
    """

    verify: bool
    ttl: int
    webhook: bool
    conceal: bool


class Statements(Protocol):
    """Runs statements that are safe to repeat."""

    async def execute(self, statement: str, parameters: Sequence[str | None], deadline: float) -> Rows:
        """Run a statement; return its rows, or raise a `Problem`, by `deadline`."""
        ...


class UserStore(Protocol):
    """Stores users."""

    async def add(
        self,
        fields: Sequence[str | None],
        password: SecretStr,
        key: bytes,
        *,
        deadline: float,
        details: Details = NO_DETAILS,
    ) -> Entry:
        """Store a new user, or return the user that was stored with this key in the last 24 hours.

        Args:
            fields: the values of the `STORED` fields.
            password: the PHC string of the password.
            key: the idempotency key, 32 bytes.
            deadline: the time by which to return, in seconds on the monotonic clock.
            details: the optional parts of the sign-up.

        Raises:
            EmailTaken: another user has this address.
            BadInvitation: the invitation has no use left.
            Problem: the user was not stored, or it is unknown whether it was.
        """
        ...


class PostgresUserStore:
    """A `UserStore` over the table that prisma/migrations creates.

    Args:
        statements: runs the statements.
        recording: the messages to record with a user; None for none.
    """

    def __init__(self, statements: Statements, recording: Recording | None = None) -> None:
        self._statements = statements
        self._recording = recording

    async def add(
        self,
        fields: Sequence[str | None],
        password: SecretStr,
        key: bytes,
        *,
        deadline: float,
        details: Details = NO_DETAILS,
    ) -> Entry:
        """Insert the user, the details and the messages with one statement."""
        statement, columns = SIGN_UP, _ROW
        parameters = [*fields, password.get_secret_value(), key.hex()]
        has_details = details.terms is not None or details.extra is not None or details.invitation is not None
        if has_details or self._recording is not None:
            statement, columns = SIGN_UP_RECORDED, _ROW_RECORDED
            if has_details:
                statement, columns = SIGN_UP_WITH_DETAILS, _ROW_WITH_DETAILS
            options = {name: value for name, value in asdict(details).items() if value is not None}
            if self._recording is not None:
                options |= asdict(self._recording)
            parameters.append(encode(options).decode())
        rows = await self._statements.execute(statement, parameters, deadline)
        try:
            ((returned_key, *values),) = rows
            row = dict(zip(columns, values, strict=True))
            if returned_key != key.hex():
                # The data proxy, or a proxy in front of it, mixed up two responses. The client must not get this row.
                raise ProxyUnavailable("mismatched_row")
            if set(values) == {None}:
                raise EmailTaken
            # A row with any other refusal has no user either, and is treated as invalid below.
            if row.pop("refusal", None) == "invitation_used":
                raise BadInvitation("invitation_used")
            password_hash, verified, extra = (row.pop(name, None) for name in ("password", "email_verified", "extra"))
            return Entry(
                User.model_validate(row),
                None if password_hash is None else SecretStr(password_hash),
                None if verified is None else verified == "true",
                # Do not read `extra` if there are no extra fields: the column may belong to another application.
                None if extra is None or details.extra is None else from_json(extra),
            )
        except (ValueError, IndexError):
            # It is unknown whether the user was stored. No supported data proxy responds like this.
            raise ProxyUnavailable("invalid_response") from None
