"""Delivery: batches, deadlines, failures and the circuit breaker of a channel, with a fake outbox."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from signup.database.circuit_breaker import FAILURES, FIRST
from signup.outbox.delivery import (
    AFTER_RESPONSE,
    CONCURRENCY,
    LEASE,
    LONGEST_ATTEMPT,
    LONGEST_STATEMENT,
    SCHEDULED,
    Channel,
    Delivery,
)
from signup.outbox.message import MAILS, WEBHOOKS, DeliveryFailed, Message
from signup.outbox.store import Counts
from signup.problems import Problem, ProxyUnavailable

pytestmark = pytest.mark.anyio


def message(number: int = 1, kind: str = MAILS[0]) -> Message:
    """Return a message of the outbox."""
    created_at = datetime(2026, 11, 29, tzinfo=UTC)
    return Message(str(number), f"key {number}", kind, "7", "ada@example.com", "Ada", "en", 1, created_at)


class FakeOutbox:
    """An outbox that returns each message once.

    Args:
        messages: the messages that are due.
    """

    def __init__(self, messages: Sequence[Message] = ()) -> None:
        self.due = list(messages)
        self.limits: list[int] = []
        self.finished: list[str] = []
        self.failed: list[tuple[str, str, bool]] = []
        self.problem: Problem | None = None
        self.claim_problem: Problem | None = None

    async def claim(self, kinds: Sequence[str], limit: int, lease: float, deadline: float) -> list[Message]:
        """Return the first messages of these kinds."""
        assert (lease, deadline > 0) == (LEASE, True)
        if self.claim_problem:
            raise self.claim_problem
        self.limits.append(limit)
        claimed = [each for each in self.due if each.kind in kinds][:limit]
        self.due = [each for each in self.due if each not in claimed]
        return claimed

    async def finish(self, message: Message, deadline: float) -> None:
        """Record a delivered message."""
        assert deadline > 0
        if self.problem:
            raise self.problem
        self.finished.append(message.id)

    async def fail(self, message: Message, failure: DeliveryFailed, deadline: float) -> bool:
        """Record a failed message, which is dead if the failure is permanent."""
        assert deadline > 0
        if self.problem:
            raise self.problem
        self.failed.append((message.id, failure.error, failure.permanent))
        return failure.permanent

    async def counts(self, deadline: float) -> Counts:
        """Count the messages that are due, and report three dead ones."""
        assert deadline > 0
        if self.problem:
            raise self.problem
        return Counts(len(self.due), len(self.due), 3)


class Harness:
    """A delivery with fake channels, whose outcomes the test sets, and a fake clock.

    Args:
        messages: the messages that are due.
    """

    def __init__(self, *messages: Message) -> None:
        self.outbox = FakeOutbox(messages)
        self.lines: list[str] = []
        self.now = 100.0
        self.sent: list[str] = []
        self.outcomes: dict[str, Exception] = {}
        self.running = self.most_running = 0
        self.default_outcome: Exception | None = None
        channels = [Channel(kinds, self.send, lambda: self.now) for kinds in (MAILS, WEBHOOKS)]
        self.delivery = Delivery(self.outbox, channels, self.lines.append, lambda: self.now)

    async def send(self, message: Message, deadline: float) -> None:
        """Send a message, or raise its outcome."""
        assert deadline == self.now + LONGEST_ATTEMPT
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        await asyncio.sleep(0)
        self.running -= 1
        if error := self.outcomes.get(message.id, self.default_outcome):
            raise error
        self.sent.append(message.id)

    def log(self) -> list[dict[str, Any]]:
        """Return the parsed log."""
        return [json.loads(line) for line in self.lines]


async def test_delivered_messages_are_removed_and_logged() -> None:
    """The log has the message's key, but not the user's name or address."""
    harness = Harness(message(1), message(2, "user.created"))
    await harness.delivery.after_response()
    assert sorted(harness.outbox.finished) == sorted(harness.sent) == ["1", "2"]
    assert [entry["result"] for entry in harness.log()] == ["delivered"] * 2
    assert {entry["message"] for entry in harness.log()} == {"key 1", "key 2"}
    assert "ada" not in "".join(harness.lines).lower()


async def test_a_response_triggers_one_batch() -> None:
    """The scheduled run delivers the remaining messages, several at a time."""
    harness = Harness(*(message(number) for number in range(40)))
    await harness.delivery.after_response()
    assert len(harness.sent) == AFTER_RESPONSE.most == CONCURRENCY
    await harness.delivery.scheduled()
    assert len(harness.outbox.finished) == 40
    assert harness.most_running == CONCURRENCY
    assert max(harness.outbox.limits) == SCHEDULED.batch
    assert harness.log()[-1] == {"event": "outbox", "level": "warning", "pending": 0, "due": 0, "dead": 3}


async def test_a_batch_takes_less_time_than_its_lease() -> None:
    """If a batch took longer, another isolate would send its last messages again.

    After a response, a batch and its claim must fit into the 30 s that a Worker may still run.
    """
    for run in (AFTER_RESPONSE, SCHEDULED):
        assert run.batch / CONCURRENCY * (LONGEST_ATTEMPT + LONGEST_STATEMENT) < LEASE
    assert AFTER_RESPONSE.batch / CONCURRENCY * (LONGEST_ATTEMPT + LONGEST_STATEMENT) + LONGEST_STATEMENT < 30


async def test_a_run_is_limited() -> None:
    """The limits are the number of messages and the duration."""
    harness = Harness(*(message(number) for number in range(SCHEDULED.most + 20)))
    await harness.delivery.scheduled()
    assert len(harness.sent) == SCHEDULED.most
    harness = Harness(*(message(number) for number in range(SCHEDULED.batch * 3)))

    async def slow(message: Message, deadline: float) -> None:
        assert deadline > harness.now
        harness.now += SCHEDULED.seconds / SCHEDULED.batch
        harness.sent.append(message.id)

    channel = Channel(MAILS, slow, lambda: harness.now)
    await Delivery(harness.outbox, [channel], harness.lines.append, lambda: harness.now).scheduled()
    assert len(harness.sent) == SCHEDULED.batch


async def test_each_failure_is_recorded() -> None:
    """A bug counts as a failure; the text of the exception is not logged."""
    harness = Harness(*(message(number) for number in range(4)))
    harness.outcomes = {
        "1": DeliveryFailed("status_500"),
        "2": DeliveryFailed("recipient", permanent=True),
        "3": RuntimeError("canary"),
    }
    await harness.delivery.scheduled()
    assert harness.outbox.finished == ["0"]
    assert sorted(harness.outbox.failed) == [
        ("1", "status_500", False),
        ("2", "recipient", True),
        ("3", "internal", False),
    ]
    results = {entry["message"]: entry for entry in harness.log() if entry["event"] == "delivery"}
    assert [results[f"key {number}"]["result"] for number in range(4)] == ["delivered", "failed", "dead", "failed"]
    assert results["key 3"]["exception"] == "RuntimeError"
    assert "canary" not in "".join(harness.lines)


async def test_an_outage_opens_the_circuit_of_its_channel() -> None:
    """While the circuit is open, no message is claimed. Then one message is the probe; a batch follows its success."""
    harness = Harness(*(message(number) for number in range(30)), message(30, "user.created"))
    harness.default_outcome = DeliveryFailed("unreachable")
    harness.outcomes = {}
    await harness.delivery.scheduled()
    errors = [error for number, error, _ in harness.outbox.failed if number != "30"]
    assert errors.count("unreachable") < FAILURES + CONCURRENCY
    assert set(errors) == {"unreachable", "circuit_open"}
    assert len(harness.outbox.due) == 30 - SCHEDULED.batch
    limits = len(harness.outbox.limits)
    harness.default_outcome = None
    await harness.delivery.after_response()
    # The webhooks have a circuit of their own.
    assert len(harness.outbox.limits) == limits + 1
    harness.now += FIRST
    await harness.delivery.after_response()
    assert sorted(harness.outbox.limits[limits + 1 :]) == [1, AFTER_RESPONSE.most - 1, AFTER_RESPONSE.most]
    assert len(harness.sent) == AFTER_RESPONSE.most


async def test_refused_recipients_do_not_open_the_circuit() -> None:
    """A provider that refuses a recipient is reachable."""
    harness = Harness(*(message(number) for number in range(20)))
    harness.default_outcome = DeliveryFailed("recipient", permanent=True)
    await harness.delivery.scheduled()
    assert {error for _, error, _ in harness.outbox.failed} == {"recipient"}
    assert len(harness.outbox.failed) == 20


async def test_an_unreachable_database_ends_a_run() -> None:
    """No exception is raised. A message whose result could not be recorded is logged as `unrecorded`."""
    harness = Harness(message())
    harness.outbox.claim_problem = ProxyUnavailable("unreachable")
    await harness.delivery.scheduled()
    assert [entry["event"] for entry in harness.log()] == ["outbox"] * 3
    harness = Harness(message(1), message(2))
    harness.outcomes = {"2": DeliveryFailed("timeout")}
    harness.outbox.problem = ProxyUnavailable("unreachable")
    await harness.delivery.scheduled()
    entries = [entry for entry in harness.log() if entry["event"] == "delivery"]
    assert [(entry["result"], entry["code"], entry.get("error")) for entry in entries] == [
        ("unrecorded", "proxy_unavailable", None),
        ("unrecorded", "proxy_unavailable", "timeout"),
    ]
    assert harness.log()[-1] == {
        "event": "outbox",
        "level": "warning",
        "code": "proxy_unavailable",
        "reason": "unreachable",
    }
