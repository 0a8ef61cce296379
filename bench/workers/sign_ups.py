"""Measure sign-ups to all contenders in turn, so that a slow period of the machine affects all of them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from bench import peers
from bench.client import Endpoint
from bench.load import Sample, Samples, summary, turn
from bench.report import progress
from bench.workers import contenders as all_contenders
from bench.workers import report
from bench.workers.contenders import Backends, Contender
from bench.workers.measurement import POOL_SIZE, Options, Result, database, order
from bench.workers.row_counts import RowCounter
from bench.workers.workerd import endpoint, running


class Plan(NamedTuple):
    """The number and duration of turns.

    Args:
        rounds: number of rounds.
        seconds: duration of a turn, by number of clients.
        warm_up: seconds of load for each contender before the first round.
    """

    rounds: int
    seconds: Mapping[int, float]
    warm_up: float = 2.0


def measure(options: Options) -> Result:
    """Measure sign-ups to contenders with their own hash, with the same hash and without one, and refused sign-ups."""
    plan = Plan(options.rounds, {1: options.seconds / 2, 16: options.seconds}, warm_up=options.seconds)
    # A JavaScript peer connects to sqlproxy while hashes are queued, and sends its request only after the last hash,
    # so the head timeout must be longer than all hashes take.
    with (
        database() as server,
        peers.sqlproxy(server.url(), POOL_SIZE, "--head-timeout", "60") as proxy,
        peers.executor(server.url()) as executor,
        RowCounter(server.url()) as counter,
    ):
        backends = all_contenders.Backends(proxy.port, executor.port, server.url())
        samples = compete(all_contenders.CONTENDERS, backends, counter, plan)
    detail: dict[str, Any] = {}
    for (name, clients), turns in samples.items():
        detail.setdefault(name, {})[f"{clients}"] = summary(turns)
    return Result(report.ratios(samples), detail)


def compete(contenders: Mapping[str, Contender], backends: Backends, counter: RowCounter, plan: Plan) -> Samples:
    """Run the contenders in turn, and check the rows of the table after each turn.

    Returns:
        One sample per round, by contender and number of clients.

    Raises:
        RuntimeError: a response does not have the expected status, or the rows differ from the successful sign-ups.
    """
    samples: Samples = {}

    def run_turn(name: str, clients: int, seconds: float) -> Sample:
        contender = contenders[name]
        try:
            sample = turn(endpoints[name], clients, seconds)
            if contender.table:
                counter.check(contender.table, sample.answered, hashed=contender.hashed)
        except RuntimeError as exc:
            raise RuntimeError(f"{name}: {exc}") from None
        return sample

    with _run_contenders(contenders, backends) as endpoints:
        for name in endpoints:
            run_turn(name, 1, 0)
            run_turn(name, max(plan.seconds), plan.warm_up)
        for number in range(plan.rounds):
            for clients, seconds in plan.seconds.items():
                for name in order(list(endpoints), number):
                    samples.setdefault((name, clients), []).append(run_turn(name, clients, seconds))
                rates = ", ".join(f"{name} {samples[name, clients][-1].rate:.0f}" for name in endpoints)
                progress(f"round {number + 1} of {plan.rounds}, {clients:2} clients, a second: {rates}")
    return samples


@contextmanager
def _run_contenders(contenders: Mapping[str, Contender], backends: Backends) -> Iterator[dict[str, Endpoint]]:
    """Build all contenders, and run them until the block ends. Identical builds share one workerd."""
    with ExitStack() as stack:
        endpoints: dict[str, Endpoint] = {}
        runs: dict[Callable[[Backends], object], tuple[int, int]] = {}
        for name, each in contenders.items():
            run = runs.get(each.make) or stack.enter_context(running(each.make(backends)))
            runs[each.make] = run
            endpoints[name] = endpoint(run, each.path, each.headers, each.name, each.status)
        yield endpoints
