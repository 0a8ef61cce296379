"""Counters, gauges and histograms in Prometheus' text exposition format 0.0.4."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    Gauges = Mapping[str, tuple[str, Mapping[str, int]]]

__all__ = ["CONTENT_TYPE", "Histogram", "Metrics"]

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Histogram:
    """A histogram of durations.

    Args:
        bounds: the upper bounds of the buckets in seconds, in ascending order.
    """

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Iterable[float] = _BUCKETS) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count a duration."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def snapshot(self) -> dict[str, Any]:
        """Return the counts and the sum, for `add`."""
        return {"counts": self._counts, "sum": self._sum}

    def add(self, snapshot: Mapping[str, Any]) -> None:
        """Add the snapshot of a histogram with the same bounds."""
        self._counts = [mine + other for mine, other in zip(self._counts, snapshot["counts"], strict=True)]
        self._sum += snapshot["sum"]

    def lines(self, name: str) -> Iterator[str]:
        """Yield the histogram's lines in Prometheus' format, under this name."""
        totals = list(accumulate(self._counts))
        for bound, total in zip((*self._bounds, "+Inf"), totals, strict=True):
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {self._sum:.6f}"
        yield f"{name}_count {totals[-1]}"


class Metrics:
    """The metrics of one process.

    Attributes:
        wait: the seconds that requests waited for a connection.
        statement: the seconds that requests held a connection.
        requests: the number of requests to `/sql` by HTTP status, or `gone` if the client disconnected.
        rejected: the number of requests that were refused or got no connection, by reason.
        errors: the number of other failed requests by SQLSTATE class (the first two characters).
    """

    def __init__(self) -> None:
        self.wait = Histogram()
        self.statement = Histogram()
        self.requests: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()

    def snapshot(self) -> dict[str, Any]:
        """Return all metrics, for `add`."""
        histograms = {"wait": self.wait.snapshot(), "statement": self.statement.snapshot()}
        return {**histograms, "requests": self.requests, "rejected": self.rejected, "errors": self.errors}

    def add(self, snapshot: Mapping[str, Any]) -> None:
        """Add the snapshot of another process."""
        for name in ("wait", "statement"):
            getattr(self, name).add(snapshot[name])
        for name in ("requests", "rejected", "errors"):
            getattr(self, name).update(snapshot[name])

    def render(self, gauges: Gauges) -> str:
        """Return all metrics as text.

        Args:
            gauges: the help text of each gauge, and its values by label text ("" without labels).
        """
        lines: list[str] = []
        for name, (help_text, samples) in gauges.items():
            lines += [f"# HELP {name} {help_text}", f"# TYPE {name} gauge"]
            lines += [f"{name}{labels} {value}" for labels, value in samples.items()]
        for name, label, help_text, counter in (
            (
                "sqlproxy_requests_total",
                "status",
                "Requests to POST /sql by HTTP status; gone if the client disconnected.",
                self.requests,
            ),
            ("sqlproxy_rejected_total", "reason", "Requests that were refused or got no connection.", self.rejected),
            (
                "sqlproxy_errors_total",
                "class",
                "Failed requests by SQLSTATE class, without rejected requests.",
                self.errors,
            ),
        ):
            lines += [f"# HELP {name} {help_text}", f"# TYPE {name} counter"]
            lines += [f'{name}{{{label}="{value}"}} {count}' for value, count in sorted(counter.items())]
        for name, help_text, histogram in (
            ("sqlproxy_wait_seconds", "Time until a request had a connection.", self.wait),
            ("sqlproxy_statement_seconds", "Time a request held its connection.", self.statement),
        ):
            lines += [f"# HELP {name} {help_text}", f"# TYPE {name} histogram", *histogram.lines(name)]
        return "\n".join(lines) + "\n"
