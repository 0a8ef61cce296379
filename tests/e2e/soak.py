"""A soak: sign-ups of every kind while faults strike at random, and then the books.

A fifth of the exchanges between Worker and proxy meets a fault, and every few seconds something happens to proxy or
Postgres. `make soak` runs it and prints a seed, which draws the same faults and requests again, though not at the same
moments.
"""

import argparse
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import psycopg

from devstack.scratch import scratch_folder
from devstack.setup.bootstrap import ROOT
from tests.e2e import chaos
from tests.e2e.conftest import Running, a_worker, behind_a_relay
from tests.e2e.relay import FAULTS, Fault, Relay, passed
from tests.e2e.resources import Resources, resident
from tests.e2e.sign_up_ledger import GIVE_UP, Books, SoakError

# Seconds.
LIMITS = {"PROXY_TIMEOUT": 1, "REQUEST_DEADLINE": 6}
CLIENTS = 8
FAULTY = 0.2
BURST = 200
# Wrong sign-ups between two looks at the memory.
ROUND = 4000
# The last quarter's memory over the one before it. A new sqlproxy needs some MiB less than one that has worked.
STEADY = 1.1


@dataclass
class Soak:
    """A soak of one Worker.

    Args:
        stack: the stack with Postgres and sqlproxy.
        worker: the Worker, which reaches sqlproxy through the relay.
        relay: what strikes between them.
        seed: draws faults and requests.
        books: what the clients were told.
        struck: how often each fault struck.
    """

    stack: Running
    worker: Running
    relay: Relay
    seed: int
    books: Books = field(default_factory=lambda: Books(LIMITS["REQUEST_DEADLINE"]))
    struck: Counter[str] = field(default_factory=Counter)
    _done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.resources = Resources(self.stack, self.worker)

    def run(self, seconds: float, sign_ups: int = 0) -> None:
        """Run for so long, or until so many users are made, whichever is later; then rest, and balance the books.

        Raises:
            SoakError: what must not happen did.
        """
        self.worker.sign_up()
        before = self.rest()
        self.resources.first = self.resources.open_files()
        start = time.monotonic()
        self.relay.faults = self.faults(random.Random(f"{self.seed} faults"))
        url = self.worker.client.base_url
        with ThreadPoolExecutor(CLIENTS + 1) as threads:
            tasks = [
                threads.submit(self.books.keep, url, random.Random(f"{self.seed} client {number}"), self._done)
                for number in range(CLIENTS)
            ]
            tasks.append(threads.submit(self.watch))
            strikes = self.strikes(random.Random(f"{self.seed} events"))
            try:
                # A task that is done has failed, and says how below.
                while not any(task.done() for task in tasks):
                    # In this thread: a part ends with the thread that started it.
                    next(strikes)
                    if time.monotonic() > start + seconds and len(self.books.made) >= sign_ups:
                        break
            finally:
                self._done.set()
            for task in tasks:
                task.result()
        self.relay.heal()
        self.rest()
        self.resources.last = self.resources.open_files()
        self.books.balance(self.stack, before)

    def faults(self, draw: random.Random) -> Iterator[Fault]:
        """Draw what the relay does to each exchange."""
        known = [(name, fault) for name, fault in FAULTS.items() if fault is not None]
        while True:
            name, fault = draw.choice(known) if draw.random() < FAULTY else ("", passed)
            if name:
                self.struck[name] += 1
            yield fault

    def strikes(self, draw: random.Random) -> Iterator[None]:
        """Let something happen to proxy or Postgres every few seconds."""
        events: dict[str, Callable[[], None]] = {
            "Postgres restarted": lambda: chaos.restart_postgres(self.stack),
            "Postgres crashed": lambda: chaos.crash_postgres(self.stack),
            "sqlproxy killed": lambda: chaos.kill_proxy(self.stack),
            "connections ended": lambda: chaos.end_connections(self.stack),
            "read-only for a second": self.read_only,
            "proxy unreachable for a second": self.refuse,
        }
        while True:
            time.sleep(draw.uniform(2, 6))
            name = draw.choice(list(events))
            self.struck[name] += 1
            events[name]()
            self.ready()
            yield

    def read_only(self) -> None:
        """Be a standby for a second."""
        with psycopg.connect(self.stack.stack.database_url, autocommit=True) as db, chaos.read_only(db):
            time.sleep(1)

    def refuse(self) -> None:
        """Refuse the Worker's connections for a second."""
        self.relay.close()
        time.sleep(1)
        self.relay.open()

    def ready(self) -> None:
        """Wait until proxy and Postgres work together again."""
        url = self.stack.proxy.copy_with(path="/ready", username=None)
        deadline = time.monotonic() + GIVE_UP
        while True:
            try:
                if httpx.get(url).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise SoakError("the proxy does not get ready again")
            time.sleep(0.05)

    def watch(self) -> None:
        """Note the memory of each process every second."""
        while not self._done.wait(1):
            self.resources.look()

    def rest(self) -> int:
        """Wait until nothing is under way and nothing is left open, and return the number of users."""
        self.ready()
        deadline = time.monotonic() + GIVE_UP
        busy = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'sqlproxy' AND state <> 'idle'"
        while self.stack.rows(busy) != [(0,)] or self.resources.leaking():
            if time.monotonic() > deadline:
                raise SoakError(f"statements or file descriptors are left: {self.resources.open_files()}")
            time.sleep(0.2)
        return int(self.stack.rows('SELECT count(*) FROM "User"')[0][0])

    def report(self) -> dict[str, object]:
        """Return the figures."""
        used = self.resources
        return {
            "seed": self.seed,
            "users": len(self.books.made),
            "answers": {str(status): count for status, count in sorted(self.books.seen.items())},
            "exchanges": len(self.relay.paths),
            "faults": dict(self.struck.most_common()),
            "memory in MiB, at every tenth of the time": {name: used.tenths(name) for name in used.memory},
            "memory, last quarter over the one before": {name: round(used.growth(name), 3) for name in used.memory},
            "open files, first and last": {name: [count, used.last.get(name)] for name, count in used.first.items()},
        }


def burst(worker: Running, *, key: bool) -> dict[str, int]:
    """Post one sign-up many times at the same moment; return how often each status came, and how many ids."""
    answers = worker.at_once(BURST, key=key)
    ids = {answer.json()["user"]["id"] for answer in answers if answer.status_code == httpx.codes.CREATED}
    return {**{str(s): n for s, n in Counter(a.status_code for a in answers).items()}, "ids": len(ids)}


def levels(worker: Running, count: int) -> list[int]:
    """Send so many wrong sign-ups; return the memory of workerd, in MiB, at first and after each `ROUND` of them."""
    workerd = Resources(worker, worker).workerd
    body = {"name": "Ada", "email": "nobody", "password": "x"}

    def post(_: int) -> None:
        with httpx.Client(base_url=worker.stack.base_url, timeout=60) as client:
            for _ in range(ROUND // CLIENTS):
                client.post("/", json=body)

    seen = [resident(workerd) // 1024]
    with ThreadPoolExecutor(CLIENTS) as threads:
        for _ in range(count // ROUND):
            list(threads.map(post, range(CLIENTS)))
            seen.append(resident(workerd) // 1024)
    return seen


def main() -> None:
    """Run a soak on a stack of its own, and write `.local/soak.json`.

    Raises:
        SoakError: what must not happen did, or memory still grows at the end.
    """
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long at least (600)")
    parser.add_argument("--sign-ups", type=int, default=0, help="how many users at least (0)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of an earlier run")
    parser.add_argument("--wrong", type=int, default=0, help="and so many wrong ones at the end, for the memory (0)")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with (
        scratch_folder("soak") as folder,
        a_worker(folder / "stack") as stack,
        behind_a_relay(stack, folder / "relayed", **LIMITS) as (worker, relay),
    ):
        soak = Soak(stack, worker, relay, arguments.seed)
        try:
            soak.run(arguments.seconds, arguments.sign_ups)
        finally:
            print(json.dumps(soak.report(), indent=2), flush=True)
        bursts = {
            f"{BURST} at once, a key each": burst(stack, key=False),
            f"{BURST} at once, one key": burst(stack, key=True),
        }
        print(json.dumps(bursts, indent=2), flush=True)
        print(f"memory in MiB at every {ROUND} wrong ones: {levels(stack, arguments.wrong)}")
    (ROOT / ".local" / "soak.json").write_text(json.dumps(soak.report() | bursts, indent=2) + "\n")
    expected = [{"201": 1, "409": BURST - 1, "ids": 1}, {"201": BURST, "ids": 1}]
    if list(bursts.values()) != expected:
        raise SoakError("simultaneous sign-ups of one address did not make one user")
    growing = [name for name in soak.resources.memory if soak.resources.growth(name) > STEADY]
    if growing:
        raise SoakError(f"memory still grows: {growing}")


if __name__ == "__main__":
    main()
