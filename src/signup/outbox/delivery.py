"""Delivery of messages: claim them in batches, send them, and then remove them, retry them later, or give up.

A message may be delivered more than once. If the isolate ends between sending a message and removing it, another
isolate sends it again, with the same idempotency key.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from signup.database.circuit_breaker import CircuitBreaker, State
from signup.json_codec import encode
from signup.log import Event, Fields, Level, Log, bug_fields
from signup.outbox.message import DeliveryFailed, Message
from signup.outbox.store import Outbox
from signup.problems import Problem, ProxyUnavailable

# The number of messages of a channel that are sent concurrently. Two channels share an invocation's six connections.
CONCURRENCY = 3
# Timeouts in seconds for sending a message and for a statement.
LONGEST_ATTEMPT = 10.0
LONGEST_STATEMENT = 5.0
# Seconds for which no other caller can claim a claimed message. This is longer than a batch takes.
LEASE = 60.0


@dataclass(frozen=True, slots=True)
class Run:
    """The limits of one run.

    Args:
        seconds: the number of seconds after which no new batch starts.
        batch: the number of messages of one channel in a claim.
        most: the maximum number of messages of one channel in the run, which limits the CPU time.
    """

    seconds: float
    batch: int
    most: int


# A Worker may run for 30 seconds after the response.
AFTER_RESPONSE = Run(seconds=1.0, batch=CONCURRENCY, most=CONCURRENCY)
# The next scheduled run starts after a minute. A message takes 5 to 8 ms of CPU time in workerd, and the run has 1,000
# ms for both channels (cpu_ms in wrangler.toml).
SCHEDULED = Run(seconds=45.0, batch=3 * CONCURRENCY, most=45)


class Channel:
    """Sends some kinds of messages. Each channel has its own circuit breaker.

    Args:
        kinds: the kinds of messages of this channel.
        send: sends a message by a deadline, or raises `DeliveryFailed`.
        clock: returns the monotonic time, in seconds.
    """

    def __init__(
        self,
        kinds: Sequence[str],
        send: Callable[[Message, float], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.kinds = kinds
        self.send = send
        self.circuit = CircuitBreaker(clock)


class Delivery:
    """Delivers the messages of the outbox.

    Args:
        outbox: the store of the messages.
        channels: the channels, which run independently.
        log: writes log lines: one for each attempt, one for each scheduled run, and one for each claim that fails.
        clock: returns the monotonic time, in seconds.
    """

    def __init__(
        self,
        outbox: Outbox,
        channels: Sequence[Channel],
        log: Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outbox = outbox
        self._channels = channels
        self._log = log
        self._clock = clock

    async def after_response(self) -> None:
        """Deliver a few due messages, usually those that the request has just recorded."""
        await self._run(AFTER_RESPONSE)

    async def scheduled(self) -> None:
        """Deliver messages that are due, up to the limits of `SCHEDULED`, and log the numbers of messages."""
        await self._run(SCHEDULED)
        try:
            counts = await self._outbox.counts(self._clock() + LONGEST_STATEMENT)
        except Problem as problem:
            self._write_problem(problem)
            return
        level: Level = "warning" if counts.dead else "info"
        self._write("outbox", level, {"pending": counts.pending, "due": counts.due, "dead": counts.dead})

    async def _run(self, run: Run) -> None:
        await asyncio.gather(*(self._drain(channel, run) for channel in self._channels))

    async def _drain(self, channel: Channel, run: Run) -> None:
        """Deliver messages until none is due, the run reaches a limit, the circuit opens or a claim fails."""
        deadline = self._clock() + run.seconds
        remaining = run.most
        while remaining > 0 and self._clock() < deadline:
            state = channel.circuit.state
            if state is State.OPEN:
                return
            # The first message after an outage is a probe.
            limit = 1 if state is State.HALF_OPEN else min(run.batch, remaining)
            try:
                messages = await self._outbox.claim(channel.kinds, limit, LEASE, self._clock() + LONGEST_STATEMENT)
            except Problem as problem:
                self._write_problem(problem)
                return
            queue = iter(messages)
            await asyncio.gather(*(self._work(channel, queue) for _ in range(CONCURRENCY)))
            remaining -= len(messages)
            if len(messages) < limit:
                return

    async def _work(self, channel: Channel, queue: Iterator[Message]) -> None:
        for message in queue:
            await self._deliver(channel, message)

    async def _deliver(self, channel: Channel, message: Message) -> None:
        """Send one message, and record and log the result.

        If the result cannot be recorded, the message becomes due again.
        """
        start = self._clock()
        entry: Fields = {"message": message.key, "kind": message.kind, "attempts": message.attempts}
        failed: DeliveryFailed | None = None
        try:
            await self._send(channel, message)
        except DeliveryFailed as failure:
            failed = failure
        except Exception as exc:  # noqa: BLE001 - one message must not stop the others
            entry |= bug_fields(exc)
            failed = DeliveryFailed("internal")
        entry["duration_ms"] = round((self._clock() - start) * 1000)
        try:
            deadline = self._clock() + LONGEST_STATEMENT
            if failed is None:
                await self._outbox.finish(message, deadline)
                entry["result"] = "delivered"
            else:
                is_dead = await self._outbox.fail(message, failed, deadline)
                entry |= {"result": "dead" if is_dead else "failed", "error": failed.error}
        except Problem as problem:
            # The message may be sent again, even if it was delivered.
            entry |= {"result": "unrecorded", **problem.log_fields()}
            if failed is not None:
                entry["error"] = failed.error
        self._write("delivery", "info" if entry["result"] == "delivered" else "warning", entry)

    async def _send(self, channel: Channel, message: Message) -> None:
        try:
            channel.circuit.begin()
        except ProxyUnavailable as exc:
            raise DeliveryFailed("circuit_open") from exc
        try:
            await channel.send(message, self._clock() + LONGEST_ATTEMPT)
        except DeliveryFailed as failed:
            # A permanent failure concerns only this message, so the next one may be sent.
            if failed.permanent:
                channel.circuit.succeeded()
            else:
                channel.circuit.failed()
            raise
        except Exception:
            channel.circuit.succeeded()
            raise
        channel.circuit.succeeded()

    def _write_problem(self, problem: Problem) -> None:
        self._write("outbox", "warning", problem.log_fields())

    def _write(self, event: Event, level: Level, fields: Fields) -> None:
        self._log(encode({"event": event, "level": level, **fields}).decode())
