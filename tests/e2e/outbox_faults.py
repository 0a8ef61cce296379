"""Sign users up while e-mail delivery fails at random, then check that each user got an e-mail.

An e-mail may be sent several times, but always with the same idempotency key and content. A fault is injected into a
fifth of the requests to the mail provider and to the data proxy. Two Workers sign users up and deliver e-mails at the
same time. Every 8 to 15 seconds Postgres is restarted or a Worker is killed, sometimes after the response to a
sign-up and before the delivery of its e-mail.
`make outbox-faults` runs the test and prints a seed. The same seed produces the same faults, but at different times.
"""

import argparse
import contextlib
import json
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from signal import SIGKILL

import httpx
import psycopg

from devstack.scratch import scratch_folder
from devstack.setup.bootstrap import ROOT
from tests.e2e import chaos
from tests.e2e.conftest import Running, a_worker, behind_a_relay, new_email
from tests.e2e.receiver import Receiver, receiving
from tests.e2e.relay import FAULTS, Exchange, Fault, Relay, forward
from tests.e2e.sign_up_ledger import SignUpLedger, SoakError

CLIENTS = 8
FAULT_RATE = 0.2
# The Worker's timeouts, and the time after which a wait fails, in seconds.
LIMITS = {"PROXY_TIMEOUT": 1, "REQUEST_DEADLINE": 6}
GIVE_UP = 900
KEY = "idempotency-key"
# Pauses of about 2 to 20 s between attempts, instead of a minute to four hours. A message that a killed Worker was
# delivering is not sent again before its lease expires.
SHORT_PAUSES = """
    CREATE OR REPLACE FUNCTION "outbox_pause"(INTEGER) RETURNS INTERVAL LANGUAGE sql VOLATILE AS $$
        SELECT INTERVAL '2 seconds' * least(2 ^ least($1 - 1, 20), 10) * (0.9 + 0.2 * random())
    $$
"""


@dataclass
class OutboxFaults:
    """A run against Workers that share a database and a mail provider.

    Args:
        stack: the stack with Postgres and sqlproxy.
        workers: the Workers, each of which reaches sqlproxy through its relay.
        relays: the relays that inject faults between the Workers and sqlproxy.
        provider: the fake mail provider; `outcomes` chooses its responses.
        seed: the seed of the random faults, incidents and client timeouts.
    """

    stack: Running
    workers: Sequence[Running]
    relays: Sequence[Relay]
    provider: Receiver
    seed: int
    # `wrangler dev` delays requests while a Worker restarts, so the deadline is not checked.
    ledger: SignUpLedger = field(default_factory=lambda: SignUpLedger(math.inf))
    counts: Counter[str] = field(default_factory=Counter)
    most_pending: int = 0
    seconds: float = 0.0
    _done: threading.Event = field(default_factory=threading.Event)

    def run(self, sign_ups: int) -> None:
        """Sign users up under faults, wait until the outbox is empty, and compare users and e-mails.

        Raises:
            SoakError: users and e-mails do not match, a response violates the contract, or messages stay pending.
        """
        with psycopg.connect(self.stack.stack.database_url, autocommit=True) as db:
            db.execute(SHORT_PAUSES)
        for number, relay in enumerate(self.relays):
            relay.faults = self.proxy_faults(random.Random(f"{self.seed} proxy {number}"))
        start = time.monotonic()
        with ThreadPoolExecutor(CLIENTS + 1) as threads:
            tasks = [threads.submit(self.sign_up, number, sign_ups) for number in range(CLIENTS)]
            tasks.append(threads.submit(self.schedule))
            try:
                self.cause_incidents(tasks[:-1])
                for relay in self.relays:
                    relay.heal()
                self.wait_until_delivered()
            finally:
                self._done.set()
            for task in tasks:
                task.result()
        self.seconds = time.monotonic() - start
        self.reconcile()

    def sign_up(self, number: int, sign_ups: int) -> None:
        """Sign up the users of one client at alternating Workers; retry each request until the response is definite."""
        draw = random.Random(f"{self.seed} client {number}")
        with contextlib.ExitStack() as stack:
            clients = [
                stack.enter_context(httpx.Client(base_url=each.client.base_url, timeout=60)) for each in self.workers
            ]
            for turn in range(sign_ups // CLIENTS):
                email = new_email()
                body = {"name": "Ada", "email": email, "password": "correct horse battery staple"}
                client = clients[turn % len(clients)]
                response = self.ledger.post_until_answered(client, body, email, draw)
                if self.ledger.check_status(201, response):
                    self.ledger.created[email] = response.json()["user"]["id"]

    def schedule(self) -> None:
        """Trigger the scheduled deliveries of all Workers simultaneously, about every second, until the run is done."""
        with ThreadPoolExecutor(len(self.workers)) as threads:
            while not self._done.wait(1):
                list(threads.map(self.call_schedule, self.workers))

    def call_schedule(self, worker: Running) -> None:
        """Trigger the scheduled delivery of a Worker, which may be down."""
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{worker.stack.base_url}/cdn-cgi/handler/scheduled?cron=*+*+*+*+*", timeout=120)
            self.counts["schedules"] += 1

    def cause_incidents(self, clients: Sequence[object]) -> None:
        """Restart Postgres and kill each Worker in turn until the clients are done."""
        draw = random.Random(f"{self.seed} incidents")
        incidents: dict[str, Callable[[], None]] = {
            "Postgres restarted": lambda: chaos.restart_postgres(self.stack),
            **{
                f"Worker {number + 1} killed": lambda worker=worker: self.kill(worker)  # type: ignore[misc]
                for number, worker in enumerate(self.workers)
            },
        }
        names = list(incidents)
        while not all(task.done() for task in clients):  # type: ignore[attr-defined]
            until = time.monotonic() + draw.uniform(8, 15)
            while time.monotonic() < until and not all(task.done() for task in clients):  # type: ignore[attr-defined]
                time.sleep(0.2)
                self.count_pending()
            # This must not run in a short-lived thread: a service is stopped when the thread that started it ends.
            name = names[self.counts["incidents"] % len(names)]
            self.counts.update((name, "incidents"))
            incidents[name]()

    @staticmethod
    def kill(worker: Running) -> None:
        """Kill a Worker, restart it, and wait until it responds again."""
        chaos.kill(worker.stack.service("wrangler"), SIGKILL)
        deadline = time.monotonic() + GIVE_UP
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{worker.stack.base_url}/health", timeout=60).is_success:
                    return
            time.sleep(0.2)
        raise SoakError("a Worker did not restart")

    def count_pending(self) -> None:
        """Count the messages in the outbox, including dead ones, and keep the maximum."""
        with contextlib.suppress(psycopg.OperationalError):  # Postgres may be restarting
            ((pending,),) = self.stack.rows('SELECT count(*) FROM "Outbox"')
            self.most_pending = max(self.most_pending, pending)

    def wait_until_delivered(self) -> None:
        """Wait until no message is pending; dead messages do not count."""
        deadline = time.monotonic() + GIVE_UP
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError):  # Postgres may be restarting
                if self.stack.rows('SELECT count(*) FROM "Outbox" WHERE dead_at IS NULL') == [(0,)]:
                    return
            time.sleep(0.5)
        raise SoakError("messages are still pending")

    def proxy_faults(self, draw: random.Random) -> Iterator[Fault]:
        """Yield a random fault or `forward` for each exchange with the data proxy."""
        injectable = [(name, fault) for name, fault in FAULTS.items() if fault is not None]
        while True:
            name, fault = draw.choice(injectable) if draw.random() < FAULT_RATE else ("", forward)
            if name:
                self.counts["faults of the data proxy"] += 1
            yield fault

    def reconcile(self) -> None:
        """Compare users, 201 responses and e-mails.

        Raises:
            SoakError: users, responses and e-mails differ, a message is dead, or a response violates the contract.
        """
        users = dict(self.stack.rows('SELECT email, id FROM "User"'))
        ((dead,),) = self.stack.rows('SELECT count(*) FROM "Outbox"')
        mails: dict[str, set[str]] = {}
        contents: dict[str, set[str]] = {}
        for each in self.provider.accepted:
            (to,) = each.content["to"]
            mails.setdefault(to, set()).add(each.headers[KEY])
            contents.setdefault(each.headers[KEY], set()).add(json.dumps(each.content, sort_keys=True))
        problems = {
            "users without an e-mail": users.keys() - mails.keys(),
            "e-mails without a user": mails.keys() - users.keys(),
            "users with several keys": {to for to, keys in mails.items() if len(keys) > 1},
            "keys with several contents": {key for key, variants in contents.items() if len(variants) > 1},
            "201 without a user": {
                email for email, number in self.ledger.created.items() if users.get(email) != number
            },
        }
        mismatches = {name: len(items) for name, items in problems.items() if items}
        if dead or mismatches or self.ledger.violations:
            raise SoakError(f"{mismatches}, {dead} dead messages, {Counter(self.ledger.violations).most_common(5)}")

    def report(self) -> dict[str, object]:
        """Return the figures of the run."""
        keys = Counter(self.provider.keys(KEY))
        return {
            "seed": self.seed,
            "seconds": round(self.seconds),
            "users": len(self.ledger.created),
            "answers": {str(status): count for status, count in sorted(self.ledger.statuses.items())},
            "users with an e-mail": len(keys),
            "e-mails": sum(keys.values()),
            "repeated e-mails": sum(count > 1 for count in keys.values()),
            "most messages that waited": self.most_pending,
            "counts": dict(self.counts.most_common()),
            "outcomes at the provider": dict(self.provider.attempts.most_common()),
        }


def outcomes(receiver: Receiver, seed: int) -> Iterator[Callable[[Exchange], None]]:
    """Yield an outcome for each request to the provider; a fifth of the outcomes are random faults."""
    draw = random.Random(f"{seed} provider")
    faults = receiver.faults()
    while True:
        name = draw.choice(list(faults)) if draw.random() < FAULT_RATE else "accepted"
        receiver.attempts[name] += 1
        yield faults.get(name, receiver.accept)


def settings(provider: Receiver) -> dict[str, float | str]:
    """Return the settings of a Worker that verifies addresses."""
    return {
        **LIMITS,
        "EMAIL_VERIFICATION": "on",
        "MAIL_URL": f"resend+http://key@127.0.0.1:{provider.relay.port}",
        "MAIL_FROM": "accounts@example.com",
        # In a local URL, the stack would use the port of each Worker, so repeated e-mails would differ.
        "PUBLIC_URL": "https://signup.example.com",
        "VERIFICATION_SECRET": "a:" + "A" * 43 + "=",
    }


def main() -> None:
    """Run the test on its own stack, and write `.local/outbox-faults.json`."""
    parser = argparse.ArgumentParser(prog="make outbox-faults", description=__doc__)
    parser.add_argument("--sign-ups", type=int, default=2000, help="number of users (2000)")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(10**6), help="seed, to repeat a run"
    )
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with (
        scratch_folder("outbox-faults") as folder,
        receiving(lambda receiver: outcomes(receiver, arguments.seed)) as provider,
        a_worker(folder / "stack") as stack,
        behind_a_relay(stack, folder / "first", **settings(provider)) as (first, first_relay),
        behind_a_relay(stack, folder / "second", **settings(provider)) as (second, second_relay),
    ):
        faults = OutboxFaults(stack, (first, second), (first_relay, second_relay), provider, arguments.seed)
        try:
            faults.run(arguments.sign_ups)
        finally:
            print(json.dumps(faults.report(), indent=2), flush=True)
    (ROOT / ".local" / "outbox-faults.json").write_text(json.dumps(faults.report(), indent=2) + "\n")


if __name__ == "__main__":
    main()
