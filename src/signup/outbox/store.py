"""The outbox in Postgres. Each operation is one statement, which calls a function of prisma/migrations."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from pydantic_core import from_json

from signup.database.proxy import Rows
from signup.json_codec import encode
from signup.outbox.message import DeliveryFailed, Message
from signup.problems import ProxyUnavailable

CLAIM = (
    'SELECT "id"::text, "key"::text, "kind", "user_id", "payload"::text, "attempts"::text, '
    'to_char("created_at" AT TIME ZONE \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\') FROM "claim_messages"($1)'
)
FINISH = 'SELECT "finish_message"($1, $2)::text'
FAIL = 'SELECT "fail_message"($1, $2, $3, $4)::text'
COUNTS = 'SELECT "pending"::text, "due"::text, "dead"::text FROM "outbox_counts"()'


class Statements(Protocol):
    """Runs statements that are safe to repeat."""

    async def execute(self, statement: str, parameters: Sequence[str | None], deadline: float) -> Rows:
        """Run a statement; return its rows, or raise a `Problem`, by `deadline`."""
        ...


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers of messages, by state.

    Args:
        pending: messages that are neither delivered nor dead.
        due: pending messages whose next attempt is due.
        dead: messages that will not be attempted again.
    """

    pending: int
    due: int
    dead: int


class Outbox(Protocol):
    """Stores messages until they are delivered."""

    async def claim(self, kinds: Sequence[str], limit: int, lease: float, deadline: float) -> list[Message]:
        """Return messages that are due, and count an attempt for each of them.

        Args:
            kinds: the kinds to claim.
            limit: the maximum number of messages.
            lease: the minimum number of seconds for which no other caller can claim the messages.
            deadline: the time by which to return, in seconds on the monotonic clock.

        Raises:
            Problem: no messages were claimed, or it is unknown whether any were. Claimed messages become due again.
        """
        ...

    async def finish(self, message: Message, deadline: float) -> None:
        """Remove a delivered message unless another caller has claimed it since, or raise a `Problem`."""
        ...

    async def fail(self, message: Message, failure: DeliveryFailed, deadline: float) -> bool:
        """Record why a message was not delivered; return whether it is dead now, or raise a `Problem`."""
        ...

    async def counts(self, deadline: float) -> Counts:
        """Delete messages that have been dead or unclaimed for 30 days. Return the numbers of the other messages.

        Raises:
            Problem: the numbers are unknown.
        """
        ...


class PostgresOutbox:
    """An `Outbox` over the table that prisma/migrations creates.

    Args:
        statements: runs the statements.
    """

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def claim(self, kinds: Sequence[str], limit: int, lease: float, deadline: float) -> list[Message]:
        """Run `CLAIM`."""
        options = encode({"kinds": kinds, "limit": limit, "lease": lease}).decode()
        rows = await self._statements.execute(CLAIM, (options,), deadline)
        try:
            return [_message(row) for row in rows]
        except (ValueError, KeyError, TypeError):
            # No supported data proxy responds like this. The messages become due again.
            raise ProxyUnavailable("invalid_response") from None

    async def finish(self, message: Message, deadline: float) -> None:
        """Run `FINISH`."""
        await self._statements.execute(FINISH, (message.id, str(message.attempts)), deadline)

    async def fail(self, message: Message, failure: DeliveryFailed, deadline: float) -> bool:
        """Run `FAIL`."""
        options = encode({"permanent": failure.permanent, "retry_after": failure.retry_after}).decode()
        parameters = (message.id, str(message.attempts), failure.error, options)
        return await self._statements.execute(FAIL, parameters, deadline) == [["true"]]

    async def counts(self, deadline: float) -> Counts:
        """Run `COUNTS`."""
        rows = await self._statements.execute(COUNTS, (), deadline)
        try:
            ((pending, due, dead),) = rows
            return Counts(int(pending or ""), int(due or ""), int(dead or ""))
        except ValueError:
            raise ProxyUnavailable("invalid_response") from None


def _message(row: list[str | None]) -> Message:
    """Return the message in a row; raise `ValueError`, `KeyError` or `TypeError` if the row is malformed."""
    message_id, key, kind, user_id, content, attempts, created_at = (value or "" for value in row)
    payload = from_json(content)
    email, name, language = payload["email"], payload["name"], payload["language"]
    signed_up_at = payload.get("signed_up_at")
    return Message(
        id=message_id,
        key=key,
        kind=kind,
        user_id=user_id,
        email=email,
        # A user that another application stored may have no name.
        name=name or "",
        language=language or "",
        attempts=int(attempts),
        created_at=datetime.fromisoformat(created_at),
        signed_up_at=None if signed_up_at is None else datetime.fromtimestamp(signed_up_at, UTC),
        extra=payload.get("extra"),
    )
