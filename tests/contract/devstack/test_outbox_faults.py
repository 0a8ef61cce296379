"""The outbox under faults: a killed isolate, a crash of Postgres, and failures of the data proxy and the provider.

`make outbox-faults` is the long version, with real Workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import psycopg
import pytest

from devstack.migrate import migrations as migrate
from devstack.postgres import server as postgres
from signup.outbox.delivery import Channel, Delivery
from signup.outbox.message import MAILS, DeliveryFailed, Message
from signup.outbox.store import PostgresOutbox
from signup.problems import ProxyUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from signup.database.proxy import Rows

pytestmark = pytest.mark.anyio
USERS = 60
FAULT_RATE = 0.2
# Retry failed messages without a pause.
NO_PAUSES = """
    CREATE OR REPLACE FUNCTION "outbox_pause"(INTEGER) RETURNS INTERVAL LANGUAGE sql AS $$ SELECT INTERVAL '0' $$
"""


class Provider:
    """A provider that reports a failure for a fifth of the e-mails, although it has sent some of these."""

    def __init__(self, generator: random.Random) -> None:
        self._generator = generator
        self.mails: defaultdict[str, list[str]] = defaultdict(list)

    async def send(self, message: Message, deadline: float) -> None:
        """Send the e-mail, raise an error, or both."""
        assert deadline > 0
        await asyncio.sleep(0)
        fault = (
            self._generator.choice(("refused", "status_500", "timeout"))
            if self._generator.random() < FAULT_RATE
            else ""
        )
        if fault in ("", "timeout"):
            self.mails[message.email].append(message.key)
        if fault:
            raise DeliveryFailed(fault)


class FaultyStatements:
    """A data proxy that fails for a fifth of the statements, before or after running them.

    Args:
        url: the URL of the database.
        generator: chooses the faults.
    """

    def __init__(self, url: str, generator: random.Random) -> None:
        self._url = url
        self._generator = generator

    async def execute(self, statement: str, parameters: Sequence[str | None], deadline: float) -> Rows:
        """Run a statement, or raise an error before or after it has run."""
        assert deadline > 0
        await asyncio.sleep(0)
        fault = self._generator.choice(("before", "after")) if self._generator.random() < FAULT_RATE else ""
        if fault == "before":
            raise ProxyUnavailable
        rows: Rows = await asyncio.to_thread(self._run, statement, parameters)
        if fault:
            raise ProxyUnavailable
        return rows

    def _run(self, statement: str, parameters: Sequence[str | None]) -> Rows:
        numbered = statement
        for number in range(len(parameters), 0, -1):
            numbered = numbered.replace(f"${number}", f"%(p{number})s")
        named = {f"p{number}": value for number, value in enumerate(parameters, 1)}
        try:
            with psycopg.connect(self._url, autocommit=True) as db:
                return [list(row) for row in db.execute(numbered.encode(), named).fetchall()]
        except psycopg.OperationalError:
            raise ProxyUnavailable from None


def isolate(url: str, provider: Provider, generator: random.Random) -> Delivery:
    """Return a `Delivery` with its own circuit breaker, like that of a new isolate."""
    # Each reading advances this clock by 20 s, so that an open circuit breaker allows a probe at once.
    ticks = iter(range(0, 10**9, 20))
    channel = Channel(MAILS, provider.send, lambda: float(next(ticks)))
    return Delivery(PostgresOutbox(FaultyStatements(url, generator)), [channel], lambda _: None)


async def test_every_user_gets_an_email_and_repeated_emails_have_the_same_key(tmp_path: Path) -> None:
    """The provider and the data proxy fail at random, an isolate is killed, and Postgres crashes."""
    seed = random.SystemRandom().randrange(10**6)
    generator = random.Random(seed)  # noqa: S311 - faults need not be secret
    with postgres.running(tmp_path / "postgres") as server:
        url = server.url()
        migrate.migrate(url)
        with psycopg.connect(url, autocommit=True) as db:
            db.execute(NO_PAUSES)
            sign_up = """
                SELECT sign_up_recorded('Ada', n || '@example.com', 'x', lpad(to_hex(n), 64, '0'),
                    '{"verify": true, "ttl": 3600, "language": "en"}') FROM generate_series(1, %s) n
            """
            db.execute(sign_up, [USERS])
        provider = Provider(generator)
        isolates = [isolate(url, provider, generator) for _ in range(2)]
        killed_isolate = asyncio.create_task(isolate(url, provider, generator).scheduled())
        rounds = 0
        while True:
            running = [asyncio.create_task(each.after_response()) for each in isolates]
            if rounds == 3:
                killed_isolate.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await killed_isolate
            if rounds == 6:
                server.kill()
                server.start()
            await asyncio.gather(*running)
            rounds += 1
            with psycopg.connect(url, autocommit=True) as db:
                # End all leases, including those of the killed isolate.
                db.execute('UPDATE "Outbox" SET next_attempt_at = now()')
                if db.execute('SELECT count(*) FROM "Outbox" WHERE dead_at IS NULL').fetchone() == (0,):
                    break
            assert rounds < USERS, f"seed {seed}"
        with psycopg.connect(url) as db:
            remaining = db.execute('SELECT count(*) FROM "Outbox"').fetchone()
    assert remaining == (0,), f"seed {seed}"
    assert len(provider.mails) == USERS, f"seed {seed}"
    keys = Counter(len(set(sent)) for sent in provider.mails.values())
    assert keys == {1: USERS}, f"seed {seed}"
    assert any(len(sent) > 1 for sent in provider.mails.values()), f"seed {seed}"
