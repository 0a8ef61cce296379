"""Request smuggling by clients without a token, directly and through reverse proxies configured as in deploy/."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import httpx
import pytest

from fuzz.framing import POOL, Outcome, fuzz, run_fronts
from tests.contract.sqlproxy.harness import TOKEN, run_proxy
from tests.contract.sqlproxy.relay import Relay
from tests.contract.sqlproxy.smuggling import ATTACKS, Attackers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.postgres import server

SECONDS = 2.5
VICTIMS = 6
# Seconds of latency between sqlproxy and Postgres, so that a request is often in progress when its body arrives.
DELAY = 0.02


@pytest.fixture(scope="module")
def ports(pg: server.Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """Run sqlproxy with added latency, and both reverse proxies; yield their ports by name."""
    home: Path = tmp_path_factory.mktemp("fronts")
    with (
        Relay(pg.port, DELAY) as relay,
        run_proxy(pg, *POOL, DATABASE_URL=relay.through(pg.url())) as proxy,
        run_fronts(home, proxy.port) as ports_by_name,
    ):
        yield ports_by_name


class Victim(threading.Thread):
    """A client that sends statements with unique values, as fast as it can."""

    def __init__(self, port: int, name: str, deadline: float) -> None:
        super().__init__()
        self._port, self._mark, self._deadline = port, name, deadline
        self.statuses = Counter[int]()
        self.unexpected_responses: list[str] = []

    def run(self) -> None:
        """Send statements until the deadline."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        headers = {"authorization": f"Bearer {TOKEN}"}
        number = 0
        while time.monotonic() < self._deadline:
            number += 1
            mark = f"{self._mark}-{number}"
            body = json.dumps({"query": "SELECT $1::text AS mark", "params": [mark]})
            try:
                connection.request("POST", "/sql", body, headers)
                response = connection.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException):
                self.statuses[0] += 1
                connection.close()
                continue
            self.statuses[response.status] += 1
            if response.status not in (502, 503, 504) and (
                response.status != 200 or json.loads(content).get("rows") != [{"mark": mark}]
            ):
                self.unexpected_responses.append(f"{mark}: {response.status} {content[:200]!r}")
        connection.close()


@pytest.mark.parametrize("route", ["direct", "caddy", "nginx"])
def test_every_client_gets_its_own_responses_during_an_attack(ports: dict[str, int], route: str) -> None:
    """No client gets a response of another client or an error, and no attack gets more responses than expected."""
    deadline = time.monotonic() + SECONDS
    attackers = Attackers(ports[route])
    with attackers.running():
        victims = [Victim(ports[route], f"{route}-{number}", deadline) for number in range(VICTIMS)]
        for victim in victims:
            victim.start()
        for victim in victims:
            victim.join()
    statuses = sum((victim.statuses for victim in victims), Counter[int]())
    assert [line for victim in victims for line in victim.unexpected_responses] == []
    assert attackers.wrong == []
    assert statuses.keys() == {200}
    assert statuses[200] > 20
    assert attackers.attacks.total() > len(ATTACKS)


@pytest.mark.parametrize(("route", "status"), [("direct", 400), ("caddy", 200), ("nginx", 200)])
@pytest.mark.parametrize("protocol", ["h2c", "websocket", "x"])
def test_reverse_proxies_do_not_forward_an_upgrade(
    ports: dict[str, int], route: str, status: int, protocol: str
) -> None:
    """The configurations in deploy/ remove the header `Upgrade`, because sqlproxy refuses such requests."""
    headers = {"authorization": f"Bearer {TOKEN}", "connection": "upgrade", "upgrade": protocol}
    url = f"http://127.0.0.1:{ports[route]}/sql"
    assert httpx.post(url, json={"query": "SELECT 1"}, headers=headers).status_code == status


def test_the_framing_fuzzer_finds_no_violations(ports: dict[str, int]) -> None:
    """A short run of `make fuzz-framing`, from a printed seed."""
    seed = str(random.SystemRandom().randrange(10**6))
    print("seed", seed)  # noqa: T201 - needed to repeat a failed run
    outcome: Outcome = fuzz(ports, seed, range(1500))
    assert outcome.violations == []
    assert outcome.cases.total() == 1500
    for route in ports:
        assert outcome.honest[route] > 5
        assert outcome.responses[route][200] > 30
        assert outcome.responses[route][400] > 30
