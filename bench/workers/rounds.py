"""Run the contenders in turns, so that a slow period of the machine affects all of them."""

from __future__ import annotations

import itertools
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import uvloop

from bench.workers.load import Target, endpoint, turn
from bench.workers.workerd import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bench.workers.contenders import Backends, Contender
    from bench.workers.load import Sample
    from bench.workers.row_counts import RowCounter
    from bench.workers.workerd import Running

# Numbers for addresses, which are unique within a run.
NUMBERS = itertools.count()

Samples = dict[tuple[str, int], list["Sample"]]


class Plan(NamedTuple):
    """The number and duration of turns.

    Args:
        rounds: number of rounds.
        seconds: duration of a turn, by number of clients.
        warm_up: seconds of load before the first round.
    """

    rounds: int
    seconds: Mapping[int, float]
    warm_up: float = 2.0


def order(names: Sequence[str], number: int) -> list[str]:
    """Return the order of a round: a rotation forwards, then backwards, then the next rotation."""
    offset = number // 2 % len(names)
    rotated = [*names[offset:], *names[:offset]]
    return rotated if number % 2 == 0 else rotated[::-1]


@contextmanager
def run_contenders(contenders: Mapping[str, Contender], backends: Backends) -> Iterator[dict[str, Target]]:
    """Build all contenders, and run them while the block runs; identical builds share one workerd."""
    with ExitStack() as stack:
        targets: dict[str, Target] = {}
        runs: dict[Callable[[Backends], object], Running] = {}
        for name, each in contenders.items():
            run = runs.get(each.make) or stack.enter_context(running(each.make(backends)))
            runs[each.make] = run
            targets[name] = Target(endpoint(run.port, each.path, each.headers, each.name), run.pid, each.status)
        yield targets


def compete(
    contenders: Mapping[str, Contender], backends: Backends, counter: RowCounter, plan: Plan, log: Callable[[str], None]
) -> Samples:
    """Run the contenders in turns, and check the rows of the table after each turn.

    Returns:
        One sample per round, by contender and number of clients.

    Raises:
        RuntimeError: a response had another status, or the rows differ from the successful sign-ups.
    """
    samples: Samples = {}

    def run_turn(name: str, clients: int, seconds: float) -> Sample:
        contender = contenders[name]
        try:
            sample = uvloop.run(turn(targets[name], clients, seconds, NUMBERS))
            if contender.table:
                counter.check(contender.table, sample.answered, hashed=contender.keys)
        except RuntimeError as exc:
            raise RuntimeError(f"{name}: {exc}") from None
        return sample

    with run_contenders(contenders, backends) as targets:
        for name in targets:
            run_turn(name, 1, 0)
            run_turn(name, max(plan.seconds), plan.warm_up)
        for number in range(plan.rounds):
            for clients, seconds in plan.seconds.items():
                for name in order(list(targets), number):
                    samples.setdefault((name, clients), []).append(run_turn(name, clients, seconds))
                rates = ", ".join(f"{name} {samples[name, clients][-1].rate:.0f}" for name in targets)
                log(f"round {number + 1} of {plan.rounds}, {clients:2} clients, a second: {rates}")
    return samples
