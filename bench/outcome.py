"""The results of the pool demonstration: checks and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bench.report import commit, machine, percentile, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.activity import Moment
    from bench.isolates import SignUp

__all__ = ["Demo", "Run", "failures", "markdown"]


class Run(NamedTuple):
    """A run with or without the pool.

    Attributes:
        name: its name in the table.
        sign_ups: the results of all sign-ups.
        moments: the samples of pg_stat_activity.
        stored: rows in the table afterwards.
        opened: connections that Postgres accepted during the run.
    """

    name: str
    sign_ups: Sequence[SignUp]
    moments: Sequence[Moment]
    stored: int
    opened: int

    @property
    def most(self) -> int:
        """Largest number of connections at a time."""
        return max(moment.connections for moment in self.moments)

    @property
    def refused(self) -> int:
        """Sign-ups that failed."""
        return sum(1 for sign_up in self.sign_ups if sign_up.refused)

    @property
    def answered(self) -> int:
        """Sign-ups that created a user."""
        return len(self.sign_ups) - self.refused

    @property
    def reasons(self) -> set[str]:
        """Reasons for which sign-ups were refused."""
        return {sign_up.refused for sign_up in self.sign_ups if sign_up.refused}

    def milliseconds(self, part: float, *, first: bool | None = None) -> float:
        """Return a percentile of the response times of successful sign-ups, in milliseconds.

        Args:
            part: 0 to 1.
            first: True for only the isolates' first sign-ups, False for only the later ones.
        """
        took = [s.took for s in self.sign_ups if not s.refused and (first is None or s.first is first)]
        return 1000 * percentile(took, part)


class Demo(NamedTuple):
    """Both runs and their options."""

    direct: Run
    pooled: Run
    isolates: int
    each: int
    pool_size: int
    max_connections: int


def failures(demo: Demo) -> list[str]:
    """Return the expectations that were not met."""
    total = demo.isolates * demo.each
    direct, pooled = demo.direct, demo.pooled
    checks = {
        f"the pool had {pooled.most} connections, more than {demo.pool_size}": pooled.most <= demo.pool_size,
        f"through the pool {pooled.refused} were refused: {', '.join(sorted(pooled.reasons))}": pooled.refused == 0,
        f"through the pool {pooled.answered} of {total} were answered": pooled.answered == total,
        f"{pooled.answered} were answered through the pool, {pooled.stored} are stored": pooled.stored == total,
        "without the pool none was refused": direct.refused > 0,
        f"{direct.answered} were answered without it, {direct.stored} are stored": direct.stored == direct.answered,
    }
    return [text for text, passed in checks.items() if not passed]


def markdown(demo: Demo) -> str:
    """Return the table and the machine's description as Markdown."""
    host = machine()
    runs = (demo.direct, demo.pooled)
    rows = [
        ["", *(run.name for run in runs)],
        ["maximum connections at a time", *(f"{run.most}" for run in runs)],
        ["accepted connections", *(f"{run.opened}" for run in runs)],
        ["sign-ups per connection", *(f"{run.answered / max(1, run.opened):.0f}" for run in runs)],
        ["successful sign-ups", *(f"{run.answered}" for run in runs)],
        ["refused sign-ups", *(f"{run.refused}" for run in runs)],
        ["response time, p50", *(f"{run.milliseconds(0.5):.1f} ms" for run in runs)],
        ["response time, p99", *(f"{run.milliseconds(0.99):.1f} ms" for run in runs)],
        ["first sign-up of an isolate, p50", *(f"{run.milliseconds(0.5, first=True):.1f} ms" for run in runs)],
        ["later sign-ups of an isolate, p50", *(f"{run.milliseconds(0.5, first=False):.1f} ms" for run in runs)],
    ]
    reasons = "; ".join(sorted(demo.direct.reasons)) or "none"
    return (
        f"{demo.isolates} isolates, {demo.each} sign-ups each, `max_connections` {demo.max_connections}, "
        f"a pool of {demo.pool_size}.\n\n{table(rows)}\n\n"
        f"Postgres' reasons for refusing: {reasons}.\n\n"
        f"Measured at commit {commit()} on {host['cores']} cores ({host['processor']}), {host['system']}, "
        f"CPython {host['python']}. Times depend on the machine; compare counts and ratios.\n"
    )
