"""Sign users up over Hyperdrive with faults in a fifth of the connections, then compare responses and rows.

`python -m tests.e2e.hyperdrive_faults --sign-ups 2000` runs this test on a stack of its own.
"""

import argparse
import contextlib
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from devstack.scratch import scratch_folder
from tests.e2e import chaos
from tests.e2e.conftest import Running, a_worker
from tests.e2e.postgres_relay import PostgresRelay
from tests.e2e.sign_up_ledger import GIVE_UP, SignUpLedger, SoakError

CLIENTS = 8
FAULT_RATE = 0.2
# The default of REQUEST_DEADLINE, in seconds.
DEADLINE = 10


@contextlib.contextmanager
def over_hyperdrive(state: Path, seed: int, settings: str = "") -> Iterator[tuple[Running, PostgresRelay]]:
    """Run a stack whose Worker reaches Postgres through a Hyperdrive binding and a relay.

    Args:
        state: a folder for the stack's files.
        seed: the seed of the random faults.
        settings: the text of the stack's `.dev.vars`, which needs no DATABASE_URL.
    """
    state.mkdir(parents=True)
    (state / "dev.vars").write_text(settings)
    relay = PostgresRelay(random.Random(f"{seed} faults"))
    with relay.running(), a_worker(state, hyperdrive="", through=relay.through) as worker:
        yield worker, relay


def sign_up_under_faults(worker: Running, relay: PostgresRelay, ledger: SignUpLedger, seed: int, sign_ups: int) -> None:
    """Sign up at least `sign_ups` users, restart Postgres after half of them, and compare responses and rows.

    Raises:
        SoakError: a sign-up was lost or duplicated, a response violates the contract, or the stack does not recover.
    """
    done = threading.Event()
    ((before,),) = worker.rows('SELECT count(*) FROM "User"')
    relay.share = FAULT_RATE
    with ThreadPoolExecutor(CLIENTS) as threads:
        url = worker.client.base_url
        clients = [
            threads.submit(ledger.run_client, url, random.Random(f"{seed} client {number}"), done)
            for number in range(CLIENTS)
        ]
        try:
            for stage in (sign_ups // 2, sign_ups):
                while len(ledger.created) < stage and not any(client.done() for client in clients):
                    time.sleep(0.05)
                if stage < sign_ups:
                    chaos.restart_postgres(worker)
        finally:
            done.set()
        for client in clients:
            client.result()
    relay.share = 0
    wait_until_idle(worker)
    ledger.reconcile(worker, before)


def wait_until_idle(worker: Running) -> None:
    """Wait until the Worker is ready and the login of Hyperdrive has no open connection.

    Raises:
        SoakError: the wait takes longer than `GIVE_UP` seconds.
    """
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'signup_hyperdrive'"
    deadline = time.monotonic() + GIVE_UP
    while worker.client.get("/ready").status_code != 200 or worker.rows(query) != [(0,)]:
        if time.monotonic() > deadline:
            raise SoakError("the stack did not recover, or kept connections open")
        time.sleep(0.1)


def report(worker: Running, relay: PostgresRelay, ledger: SignUpLedger) -> dict[str, Any]:
    """Return the figures of a run: users, responses by status, problems by code, faults."""
    codes = Counter(code for line in worker.lines for code in re.findall(r'"code":"(\w+)"', line))
    return {
        "users": len(ledger.created),
        "responses": {str(status): number for status, number in sorted(ledger.statuses.items())},
        "problems": dict(codes),
        "faults": dict(relay.counts),
    }


def main() -> None:
    """Run the test on its own stack and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sign-ups", type=int, default=2000, help="number of users (2000)")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(10**6), help="seed, to repeat a run"
    )
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    ledger = SignUpLedger(DEADLINE)
    with (
        scratch_folder("hyperdrive") as folder,
        over_hyperdrive(folder / "stack", arguments.seed, "PROXY_TIMEOUT=1\n") as (worker, relay),
    ):
        try:
            sign_up_under_faults(worker, relay, ledger, arguments.seed, arguments.sign_ups)
        finally:
            print(json.dumps(report(worker, relay, ledger), indent=2), flush=True)


if __name__ == "__main__":
    main()
