"""`make fuzz-framing`: send requests with ambiguous framing to a real sqlproxy, directly and through Caddy and nginx.

Each case is a stream of a few requests, some with ambiguous framing. Each response must belong to its request, no part
of a body may be treated as a request, and nothing may follow a refusal. Honest clients, which run at the same time,
must receive the responses to their own statements: each statement returns a unique text, its mark. If a response is
wrong, the command prints the bytes that were sent and exits with status 1.
"""

import argparse
import asyncio
import contextlib
import itertools
import random
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from devstack.postgres import server as postgres
from devstack.scratch import scratch_folder
from fuzz.framing_cases import Case, draw_case, statement
from fuzz.framing_check import Received, find_violation
from fuzz.http_reference import End, Stream, Verdict, read_stream
from tests.contract.sqlproxy.harness import run_proxy
from tests.e2e import tls

CONNECTIONS_PER_ROUTE = 24
HONEST_CLIENTS_PER_ROUTE = 2
RESPONSE_TIMEOUT = 5.0  # seconds
IDLE = 0.02  # seconds without a byte, after which no more bytes are expected
HONEST_PAUSE = 0.005  # seconds between two statements of an honest client
MAX_VIOLATIONS = 10
POOL = ("--pool-size", "16", "--max-connections", "1000")
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Outcome:
    """The result of a run.

    Args:
        cases: number of cases sent, by route.
        responses: number of responses by status, by route.
        honest: number of honest clients' statements whose response contained the right mark, by route.
        unserved: number of honest clients' statements that got 502, 503 or 504 from a reverse proxy, or 503 from
            sqlproxy, by route.
        violations: a description of each violation.
    """

    cases: Counter[str] = field(default_factory=Counter)
    responses: dict[str, Counter[int]] = field(default_factory=dict)
    honest: Counter[str] = field(default_factory=Counter)
    unserved: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    @property
    def stopped(self) -> bool:
        """Whether there are enough violations to stop."""
        return len(self.violations) >= MAX_VIOLATIONS


def fuzz(ports: Mapping[str, int], seed: str, numbers: range) -> Outcome:
    """Distribute the cases of a seed over the routes in turn, send them, and check the responses.

    Args:
        ports: the ports on 127.0.0.1 of sqlproxy ("direct") and the reverse proxies, by route.
        seed: the seed of the cases.
        numbers: the numbers of the cases.
    """
    return uvloop.run(_fuzz(ports, seed, numbers))


async def _fuzz(ports: Mapping[str, int], seed: str, numbers: range) -> Outcome:
    outcome = Outcome(responses={route: Counter() for route in ports})
    async with asyncio.TaskGroup() as group:
        honest = [
            group.create_task(_send_honest_statements(outcome, route, port, number))
            for number, (route, port) in enumerate([*ports.items()] * HONEST_CLIENTS_PER_ROUTE)
        ]
        async with asyncio.TaskGroup() as senders:
            for start, (route, port) in enumerate(ports.items()):
                pending = iter(numbers[start :: len(ports)])
                for _ in range(CONNECTIONS_PER_ROUTE):
                    senders.create_task(_send_cases(outcome, route, port, seed, pending))
        for task in honest:
            task.cancel()
    return outcome


async def _send_cases(outcome: Outcome, route: str, port: int, seed: str, numbers: Iterator[int]) -> None:
    front = route != "direct"
    connection: socket.socket | None = None
    for number in numbers:
        if outcome.stopped:
            break
        case = draw_case(seed, number)
        stream = read_stream(case.data, front=front)
        if connection is None:
            connection = await _connect(port)
        received = await _exchange(connection, case, stream, front=front)
        outcome.cases[route] += 1
        outcome.responses[route].update(response.status for response in received.responses)
        violation = find_violation(f"c{number}", stream, received, front=front)
        if violation:
            outcome.violations.append(f"case {number}, {route}: {violation}\n  {case}\n  {received}")
        if violation or stream.end is not End.OPEN or received.ends:
            connection.close()
            connection = None
    if connection is not None:
        connection.close()


async def _connect(port: int) -> socket.socket:
    connection = socket.socket()
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # With this option, close() sends RST, which leaves no port in TIME_WAIT.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    return connection


async def _exchange(connection: socket.socket, case: Case, stream: Stream, *, front: bool) -> Received:
    """Send a case, and return the responses to it."""
    loop = asyncio.get_running_loop()
    received = Received()
    with contextlib.suppress(ConnectionError):
        for pause, packet in case.packets:
            await asyncio.sleep(pause)
            await loop.sock_sendall(connection, packet)
    expected_count = len(stream.requests)
    has_refusal = any(request.verdict is Verdict.REFUSE for request in stream.requests)
    while True:
        has_all = len(received.responses) >= expected_count
        if has_all and stream.end is End.OPEN and not received.buffer:
            return received
        # If the connection stays open, surplus responses arrive soon or not at all.
        expects_no_more = (has_all and (front or stream.end is End.INCOMPLETE)) or (
            front and (has_refusal or received.ends)
        )
        try:
            async with asyncio.timeout((5 if has_refusal else 1) * IDLE if expects_no_more else RESPONSE_TIMEOUT):
                data = await loop.sock_recv(connection, 65536)
        except TimeoutError:
            return received
        except ConnectionError:
            data = b""
        if not data:
            received.closed = True
            return received
        received.feed(data, stream)


async def _send_honest_statements(outcome: Outcome, route: str, port: int, client: int) -> None:
    """Send statements over a persistent connection, as an honest client does, until the task is cancelled."""
    loop = asyncio.get_running_loop()
    connection: socket.socket | None = None
    try:
        for number in itertools.count():
            sent = statement(f"h{client}n{number}")
            stream = read_stream(sent)
            received = Received()
            connection = connection or await _connect(port)
            with contextlib.suppress(ConnectionError):
                await loop.sock_sendall(connection, sent)
                while not received.responses and (data := await loop.sock_recv(connection, 65536)):
                    received.feed(data, stream)
            response = received.responses[0] if received.responses else None
            if response is not None and response.mark == stream.requests[0].mark and not received.buffer:
                outcome.honest[route] += 1
            elif response is not None and response.status in ((502, 503, 504) if route != "direct" else (503,)):
                outcome.unserved[route] += 1
            else:
                outcome.violations.append(f"an honest client, {route}: {sent!r} got {received}")
            if response is None or response.closes or received.buffer:
                connection.close()
                connection = None
            await asyncio.sleep(HONEST_PAUSE)
    finally:
        if connection is not None:
            connection.close()


@contextlib.contextmanager
def run_fronts(home: Path, port: int) -> Iterator[dict[str, int]]:
    """Run Caddy and nginx in front of sqlproxy until the block ends, as in deploy/ but without TLS; yield all ports."""
    with contextlib.ExitStack() as stack:
        ports = {"direct": port}
        for front in (tls.caddy, tls.nginx):
            (folder := home / front.__name__).mkdir(parents=True)
            terminator = tls.terminator(folder, port, plain=True)
            stack.enter_context(front(terminator))
            ports[front.__name__] = terminator.port
        yield ports


def main() -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="make fuzz-framing", description=__doc__)
    parser.add_argument("--cases", type=int, default=200_000, help="number of cases (200,000)")
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10**6)), help="seed, to repeat a run")
    parser.add_argument("--first", type=int, default=0, help="number of the first case (0)")
    parser.add_argument("--routes", nargs="+", default=["direct", "caddy", "nginx"], help="direct, caddy, nginx (all)")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with (
        scratch_folder("fuzz-framing") as folder,
        postgres.running(folder / "pg") as pg,
        run_proxy(pg, *POOL) as proxy,
        run_fronts(folder, proxy.port) as ports,
    ):
        start = time.monotonic()
        chosen = {route: ports[route] for route in arguments.routes}
        numbers = range(arguments.first, arguments.first + arguments.cases)
        outcome = fuzz(chosen, arguments.seed, numbers)
        seconds = time.monotonic() - start
    total = outcome.cases.total()
    print(f"{total} cases in {seconds:.0f} s ({total / seconds:.0f}/s), {len(outcome.violations)} violations")
    for route in chosen:
        print(f"{route}: {outcome.cases[route]} cases, responses {dict(sorted(outcome.responses[route].items()))}")
        print(
            f"  honest clients: {outcome.honest[route]} correct responses, {outcome.unserved[route]} times unavailable"
        )
    print("\n".join(outcome.violations))
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    sys.exit(main())
