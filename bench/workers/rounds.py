"""Contenders take turns, so that a slow moment of the machine hits them all."""

from __future__ import annotations

import itertools
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import uvloop

from bench.workers.load import Target, endpoint, turn
from bench.workers.workerd import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bench.workers.books import Books
    from bench.workers.contenders import Backends, Contender
    from bench.workers.load import Sample

__all__ = ["NUMBERS", "Plan", "Samples", "compete", "order", "standing"]

# For addresses: no two sign-ups of a run have the same one.
NUMBERS = itertools.count()
_WARM_UP_CLIENTS = 16

Samples = dict[tuple[str, int], list["Sample"]]


class Plan(NamedTuple):
    """How long.

    Attributes:
        rounds: How many.
        seconds: Of a turn, by the number of clients.
        hashed: Whether passwords are hashed.
        once: Seconds of turns that only the first round has, by the number of clients.
        warm_up: Seconds before the first round; engines compile what runs often.
    """

    rounds: int
    seconds: Mapping[int, float]
    hashed: bool = False
    once: Mapping[int, float] = MappingProxyType({})
    warm_up: float = 2.0


def order(names: Sequence[str], number: int) -> list[str]:
    """Another one every round: there and back, and then from the next one on."""
    turned = number // 2 % len(names)
    rotated = [*names[turned:], *names[:turned]]
    return rotated if number % 2 == 0 else rotated[::-1]


@contextmanager
def standing(contenders: Sequence[Contender], backends: Backends, *, hashed: bool) -> Iterator[dict[str, Target]]:
    """Builds all of them, and runs them while the block runs."""
    with ExitStack() as stack:
        targets = {}
        for contender in contenders:
            run = stack.enter_context(running(contender.make(backends, hashed)))
            targets[contender.name] = Target(endpoint(run.port, contender.path), run.pid, contender.success)
        yield targets


def compete(
    contenders: Sequence[Contender], backends: Backends, books: Books, plan: Plan, say: Callable[[str], None]
) -> Samples:
    """Lets them take turns, and compares the table with what was answered after each.

    Returns:
        By contender and number of clients, one sample a round.

    Raises:
        RuntimeError: A sign-up failed, or the table does not hold exactly those that were answered.
    """
    samples: Samples = {}
    by_name = {contender.name: contender for contender in contenders}

    def one(name: str, clients: int, seconds: float) -> Sample:
        try:
            sample = uvloop.run(turn(targets[name], clients, seconds, NUMBERS))
            books.check(by_name[name].table, sample.answered, hashed=plan.hashed)
        except RuntimeError as exc:
            raise RuntimeError(f"{name}: {exc}") from None
        return sample

    with standing(contenders, backends, hashed=plan.hashed) as targets:
        for name in targets:
            one(name, 1, 0)
            one(name, _WARM_UP_CLIENTS, plan.warm_up)
        for number in range(plan.rounds):
            for clients, seconds in {**plan.seconds, **(plan.once if number == 0 else {})}.items():
                for name in order(list(targets), number):
                    samples.setdefault((name, clients), []).append(one(name, clients, seconds))
                rates = ", ".join(f"{name} {samples[name, clients][-1].rate:.0f}" for name in targets)
                say(f"round {number + 1} of {plan.rounds}, {clients:2} clients, sign-ups a second: {rates}")
    return samples
