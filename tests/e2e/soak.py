"""Soak test: sign users up under random faults, then compare responses and rows.

A fault is injected into a fifth of the exchanges between Worker and sqlproxy. Every few seconds sqlproxy or Postgres
crashes, restarts, loses its connections, or becomes unreachable or read-only for a second. `make soak` runs the test
and prints a seed. The same seed produces the same faults and requests, but at different times.
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
from tests.e2e.relay import FAULTS, Fault, Relay, forward
from tests.e2e.resources import Resources, proportional_set_size
from tests.e2e.sign_up_ledger import GIVE_UP, SignUpLedger, SoakError

# The Worker's timeouts, in seconds.
LIMITS = {"PROXY_TIMEOUT": 1, "REQUEST_DEADLINE": 6}
CLIENTS = 8
FAULT_RATE = 0.2
# The number of simultaneous requests with one address.
BURST = 200
# The number of invalid sign-ups between two memory samples.
ROUND = 4000
# The maximum ratio of memory in the last quarter to memory in the third quarter. It exceeds 1 because sqlproxy uses a
# few MiB less after a restart, which may be in the third quarter.
MAX_GROWTH = 1.1


@dataclass
class Soak:
    """A soak test of one Worker.

    Args:
        stack: the stack with Postgres and sqlproxy.
        worker: the Worker, which reaches sqlproxy through the relay.
        relay: the relay that injects faults between Worker and sqlproxy.
        seed: the seed of faults and requests.
        ledger: the responses of the clients.
        fault_counts: how often each fault and incident occurred.
    """

    stack: Running
    worker: Running
    relay: Relay
    seed: int
    ledger: SignUpLedger = field(default_factory=lambda: SignUpLedger(LIMITS["REQUEST_DEADLINE"]))
    fault_counts: Counter[str] = field(default_factory=Counter)
    _done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.resources = Resources(self.stack, self.worker)

    def run(self, seconds: float, sign_ups: int = 0) -> None:
        """Run for at least `seconds` and until there are `sign_ups` users; then compare responses and rows.

        Raises:
            SoakError: responses and rows differ, or the stack does not recover.
        """
        self.worker.sign_up()
        before = self.wait_until_idle()
        self.resources.first = self.resources.open_files()
        start = time.monotonic()
        self.relay.faults = self.faults(random.Random(f"{self.seed} faults"))
        url = self.worker.client.base_url
        with ThreadPoolExecutor(CLIENTS + 1) as threads:
            tasks = [
                threads.submit(self.ledger.run_client, url, random.Random(f"{self.seed} client {number}"), self._done)
                for number in range(CLIENTS)
            ]
            tasks.append(threads.submit(self.sample_memory))
            incidents = self.incidents(random.Random(f"{self.seed} events"))
            try:
                # A finished task has failed; its exception is raised below.
                while not any(task.done() for task in tasks):
                    # This must not run in a short-lived thread: a service is stopped when the thread that started it
                    # ends.
                    next(incidents)
                    if time.monotonic() > start + seconds and len(self.ledger.created) >= sign_ups:
                        break
            finally:
                self._done.set()
            for task in tasks:
                task.result()
        self.relay.heal()
        self.wait_until_idle()
        self.resources.last = self.resources.open_files()
        self.ledger.reconcile(self.stack, before)

    def faults(self, draw: random.Random) -> Iterator[Fault]:
        """Yield a random fault or `forward` for each exchange."""
        injectable = [(name, fault) for name, fault in FAULTS.items() if fault is not None]
        while True:
            name, fault = draw.choice(injectable) if draw.random() < FAULT_RATE else ("", forward)
            if name:
                self.fault_counts[name] += 1
            yield fault

    def incidents(self, draw: random.Random) -> Iterator[None]:
        """Cause a random incident in sqlproxy or Postgres every few seconds; yield after the recovery."""
        incidents: dict[str, Callable[[], None]] = {
            "Postgres restarted": lambda: chaos.restart_postgres(self.stack),
            "Postgres crashed": lambda: chaos.crash_postgres(self.stack),
            "sqlproxy killed": lambda: chaos.kill_proxy(self.stack),
            "connections terminated": lambda: chaos.terminate_connections(self.stack),
            "read-only for a second": self.read_only,
            "proxy unreachable for a second": self.refuse_connections,
        }
        while True:
            time.sleep(draw.uniform(2, 6))
            name = draw.choice(list(incidents))
            self.fault_counts[name] += 1
            incidents[name]()
            self.wait_until_ready()
            yield

    def read_only(self) -> None:
        """Make the database read-only for a second, like a standby."""
        with psycopg.connect(self.stack.stack.database_url, autocommit=True) as db, chaos.read_only(db):
            time.sleep(1)

    def refuse_connections(self) -> None:
        """Refuse the Worker's connections for a second."""
        self.relay.close()
        time.sleep(1)
        self.relay.open()

    def wait_until_ready(self) -> None:
        """Wait until sqlproxy reports that it is ready."""
        url = self.stack.proxy.copy_with(path="/ready", username=None)
        deadline = time.monotonic() + GIVE_UP
        while True:
            try:
                if httpx.get(url).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise SoakError("the proxy does not become ready again")
            time.sleep(0.05)

    def sample_memory(self) -> None:
        """Sample the memory of each process every second."""
        while not self._done.wait(1):
            self.resources.sample_memory()

    def wait_until_idle(self) -> int:
        """Wait until no statement runs and no file descriptor has leaked; return the number of users."""
        self.wait_until_ready()
        deadline = time.monotonic() + GIVE_UP
        busy = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'sqlproxy' AND state <> 'idle'"
        while self.stack.rows(busy) != [(0,)] or self.resources.has_leaks():
            if time.monotonic() > deadline:
                raise SoakError(f"statements still run or file descriptors leaked: {self.resources.open_files()}")
            time.sleep(0.2)
        return int(self.stack.rows('SELECT count(*) FROM "User"')[0][0])

    def report(self) -> dict[str, object]:
        """Return the figures of the run."""
        used = self.resources
        return {
            "seed": self.seed,
            "users": len(self.ledger.created),
            "answers": {str(status): count for status, count in sorted(self.ledger.statuses.items())},
            "exchanges": len(self.relay.paths),
            "faults": dict(self.fault_counts.most_common()),
            "memory in MiB, after each tenth of the time": {name: used.memory_by_tenth(name) for name in used.memory},
            "memory growth, third quarter to last": {name: round(used.growth(name), 3) for name in used.memory},
            "open files, first and last": {name: [count, used.last.get(name)] for name, count in used.first.items()},
        }


def burst(worker: Running, *, shared_key: bool) -> dict[str, int]:
    """Post one sign-up many times at once; return the number of responses by status and the number of distinct ids."""
    responses = worker.post_simultaneously(BURST, shared_key=shared_key)
    ids = {response.json()["user"]["id"] for response in responses if response.status_code == httpx.codes.CREATED}
    counts = Counter(response.status_code for response in responses)
    return {**{str(status): count for status, count in counts.items()}, "ids": len(ids)}


def memory_levels(worker: Running, count: int) -> list[int]:
    """Send `count` invalid sign-ups in rounds; return workerd's memory in MiB at the start and after each round."""
    workerd = Resources(worker, worker).workerd
    body = {"name": "Ada", "email": "no-address", "password": "x"}

    def post(_: int) -> None:
        with httpx.Client(base_url=worker.stack.base_url, timeout=60) as client:
            for _ in range(ROUND // CLIENTS):
                client.post("/", json=body)

    levels = [proportional_set_size(workerd) // 1024]
    with ThreadPoolExecutor(CLIENTS) as threads:
        for _ in range(count // ROUND):
            list(threads.map(post, range(CLIENTS)))
            levels.append(proportional_set_size(workerd) // 1024)
    return levels


def main() -> None:
    """Run the test on its own stack, and write `.local/soak.json`.

    Raises:
        SoakError: responses and rows differ, simultaneous sign-ups of one address did not create exactly one user, or
            memory still grows at the end.
    """
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="minimum duration in seconds (600)")
    parser.add_argument("--sign-ups", type=int, default=0, help="minimum number of users (0)")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(10**6), help="seed, to repeat a run"
    )
    parser.add_argument("--wrong", type=int, default=0, help="invalid sign-ups at the end, a multiple of 4000 (0)")
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
            f"{BURST} at once, a key each": burst(stack, shared_key=False),
            f"{BURST} at once, one key": burst(stack, shared_key=True),
        }
        print(json.dumps(bursts, indent=2), flush=True)
        print(f"memory in MiB after every {ROUND} invalid sign-ups: {memory_levels(stack, arguments.wrong)}")
    (ROOT / ".local" / "soak.json").write_text(json.dumps(soak.report() | bursts, indent=2) + "\n")
    expected = [{"201": 1, "409": BURST - 1, "ids": 1}, {"201": BURST, "ids": 1}]
    if list(bursts.values()) != expected:
        raise SoakError("simultaneous sign-ups of one address did not create exactly one user")
    growing = [name for name in soak.resources.memory if soak.resources.growth(name) > MAX_GROWTH]
    if growing:
        raise SoakError(f"memory still grows: {growing}")


if __name__ == "__main__":
    main()
