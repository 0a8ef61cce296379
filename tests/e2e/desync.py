"""Request smuggling: attackers without a token send requests to sqlproxy's reverse proxy while users sign up.

`make desync` runs 60 seconds behind Caddy and 60 seconds behind nginx, configured as in deploy/, with a delay of 25 ms
between sqlproxy and Postgres. It exits with status 1 if an attack succeeds, or if a client or the Worker gets the
response to another request.
"""

import argparse
import secrets
import ssl
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from devstack.migrate.migrations import migrate
from devstack.postgres import server as postgres
from devstack.scratch import scratch_folder
from devstack.setup.bootstrap import ROOT
from devstack.stack.stack import Options
from signup.registration.user_store import SIGN_UP
from tests.contract.sqlproxy.harness import TOKEN, run_proxy
from tests.contract.sqlproxy.relay import Relay
from tests.contract.sqlproxy.smuggling import Attackers
from tests.e2e import tls
from tests.e2e.configs import limited
from tests.e2e.conftest import PASSWORD, Running, run_checked
from tests.fakes import stored

# The delay between sqlproxy and Postgres, in seconds.
DELAY = 0.025
CLIENTS, DIRECT_CLIENTS = 6, 4
STATEMENTS = ROOT / "sqlproxy" / "worker-statements.json"
FRONTS = (tls.caddy, tls.nginx)


@dataclass
class Outcome:
    """The result of the attacks on one reverse proxy.

    Args:
        attacks: the number of requests that the attackers sent.
        wrong: attacks that received too many responses, or another client's rows.
        sign_ups: the number of sign-ups through the Worker, by status.
        statements: the number of statements that clients sent to the reverse proxy directly, by status; 0 counts
            requests without a response.
        foreign: descriptions of responses that belong to another client.
        refused: the number of rows that the Worker rejected because they belong to another request.
    """

    attacks: int = 0
    wrong: list[str] = field(default_factory=list)
    sign_ups: Counter[int] = field(default_factory=Counter)
    statements: Counter[int] = field(default_factory=Counter)
    foreign: list[str] = field(default_factory=list)
    refused: int = 0

    @property
    def clean(self) -> bool:
        """Whether no attack succeeded and no response belonged to another request."""
        return not self.foreign and not self.wrong and not self.refused


def desync(worker: Running, front: tls.Terminator, seconds: float) -> Outcome:
    """Attack a reverse proxy while users sign up through the Worker.

    At the same time, clients send the Worker's statement directly to the reverse proxy. They do not pause between
    requests, whereas the Worker hashes a password before each request.

    Args:
        worker: a Worker whose DATABASE_URL names the reverse proxy.
        front: the reverse proxy, which terminates TLS.
        seconds: the duration.
    """
    outcome = Outcome()
    deadline = time.monotonic() + seconds
    context = ssl.create_default_context(cafile=str(front.certificate))
    attackers = Attackers(front.port, tls=context)
    with attackers.running():
        clients = [
            *(threading.Thread(target=_sign_up, args=(outcome, worker, deadline)) for _ in range(CLIENTS)),
            *(
                threading.Thread(target=_send_statements, args=(outcome, front, context, deadline))
                for _ in range(DIRECT_CLIENTS)
            ),
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    outcome.attacks = attackers.attacks.total()
    outcome.wrong = attackers.wrong
    outcome.refused = sum('"mismatched_row"' in line for line in worker.lines)
    return outcome


def _new_user() -> dict[str, str]:
    unique = uuid.uuid4().hex
    return {"name": f"Ada {unique[:8]}", "email": f"{unique}@example.com"}


def _send_statements(outcome: Outcome, front: tls.Terminator, context: ssl.SSLContext, deadline: float) -> None:
    """Send the Worker's statement until the deadline, each time with a new user."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    with httpx.Client(
        base_url=f"https://127.0.0.1:{front.port}", verify=context, headers=headers, timeout=60
    ) as client:
        while time.monotonic() < deadline:
            user = _new_user()
            body = {"query": SIGN_UP, "params": [*stored(**user), "x", secrets.token_hex(32)]}
            try:
                response = client.post("/sql", json=body)
            except httpx.TransportError:
                outcome.statements[0] += 1
                continue
            outcome.statements[response.status_code] += 1
            if response.status_code < httpx.codes.INTERNAL_SERVER_ERROR and user["email"] not in response.text:
                outcome.foreign.append(f"{user} got {response.status_code} {response.text[-200:]}")


def _sign_up(outcome: Outcome, worker: Running, deadline: float) -> None:
    """Sign up new users through the Worker until the deadline."""
    with httpx.Client(base_url=worker.stack.base_url, timeout=60) as client:
        while time.monotonic() < deadline:
            sent = _new_user()
            response = client.post("/", json={**sent, "password": PASSWORD})
            outcome.sign_ups[response.status_code] += 1
            if response.status_code == httpx.codes.CREATED:
                user = response.json()["user"]
                if {name: user[name] for name in sent} != sent:
                    outcome.foreign.append(f"{sent} got {user}")
            elif response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                # Every address is new and every request is valid, so this response belongs to another client.
                outcome.foreign.append(f"{sent} got {response.status_code} {response.text[:200]}")


@contextmanager
def stack(home: Path) -> Iterator[Iterator[tuple[str, Running, tls.Terminator]]]:
    """Run Postgres, a relay that adds latency, and sqlproxy.

    The yielded iterator runs each reverse proxy in turn, with a Worker.

    Args:
        home: a folder for the files of all processes.
    """
    with postgres.running(home / "pg") as pg, Relay(pg.port, DELAY) as relay:
        migrate(pg.url())
        with run_proxy(pg, "--allow-statements", str(STATEMENTS), DATABASE_URL=relay.through(pg.url())) as proxy:
            yield _fronts(home, proxy.port)


def _fronts(home: Path, proxy_port: int) -> Iterator[tuple[str, Running, tls.Terminator]]:
    for run in FRONTS:
        (folder := home / run.__name__).mkdir()
        front = tls.terminator(folder, proxy_port)
        (folder / "dev.vars").write_text(f'DATABASE_URL="sql+https://{TOKEN}@127.0.0.1:{front.port}/"\n')
        lines: list[str] = []
        options = Options(folder, folder / "dev.vars", postgres.free_port(), say=lines.append, config=limited())
        with ExitStack() as opened:
            opened.enter_context(run(front))
            patch = opened.enter_context(pytest.MonkeyPatch.context())
            patch.setenv("NODE_EXTRA_CA_CERTS", str(front.certificate))
            yield run.__name__, opened.enter_context(run_checked(options, lines)), front


def main() -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="make desync", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="duration behind each reverse proxy (60)")
    seconds = parser.parse_args().seconds
    clean = True
    with (
        scratch_folder("desync") as folder,
        stack(folder) as fronts,
    ):
        for name, worker, front in fronts:
            outcome = desync(worker, front, seconds)
            clean &= outcome.clean
            print(
                f"{name}: {seconds:.0f} s, {outcome.attacks} attacks ({len(outcome.wrong)} successful), "
                f"{outcome.sign_ups.total()} sign-ups {dict(sorted(outcome.sign_ups.items()))}, "
                f"{outcome.statements.total()} statements {dict(sorted(outcome.statements.items()))}, "
                f"{len(outcome.foreign)} responses of other clients, {outcome.refused} rejected by the Worker",
                flush=True,
            )
            print("".join(f"  {line}\n" for line in (*outcome.foreign[:5], *outcome.wrong[:5])), end="")
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
