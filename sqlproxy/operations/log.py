"""Structured logs: one JSON object per line on stderr, without any text that a client sent.

The text of an exception may quote a value or a connection string, so only its type and stack trace are logged. This
also applies to log records of uvicorn and psycopg. The only exception is libpq's reason for a failed connection, from
which `postgres.session` removes secrets and addresses.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LEVELS", "JsonFormatter", "Throttle", "configure", "event", "printable"]

LEVELS = ("debug", "info", "warning", "error")

_LOGGER = logging.getLogger("sqlproxy")


def printable(text: str) -> str:
    """Return a text on one line, with control characters and other non-printable characters escaped."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


class JsonFormatter(logging.Formatter):
    """Formats a record as `{"time", "level", "logger", "event", …}`. For other libraries, `event` is the message."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage().strip(),
        }
        entry.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[0]:
            entry["error"] = record.exc_info[0].__name__
            frames = traceback.extract_tb(record.exc_info[2])
            entry["trace"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(entry, default=str)


def configure(level: str, stream: TextIO | None = None) -> None:
    """Write the records of every logger as JSON.

    Args:
        level: one of `LEVELS`, for sqlproxy's own logger; the default of all other loggers is `warning`.
        stream: the output stream; None for stderr.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    _LOGGER.setLevel(level.upper())


def event(level: int, name: str, *, error: BaseException | None = None, **fields: object) -> None:
    """Log an event.

    Args:
        level: a level of `logging`.
        name: a stable name, such as `listening`.
        error: an exception, whose type and stack trace are logged, but not its text.
        **fields: additional fields of the JSON object.
    """
    if _LOGGER.isEnabledFor(level):
        _LOGGER.log(level, name, exc_info=error, extra={"fields": fields})


class Throttle:
    """Logs events with the same name at most once per period, so that an overload does not flood the log.

    Args:
        period: the length of the period in seconds.
        clock: a monotonic clock in seconds.
    """

    def __init__(self, period: float = 1.0, clock: Callable[[], float] = monotonic) -> None:
        self._period = period
        self._clock = clock
        self._last: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def event(self, level: int, name: str, **fields: object) -> None:
        """Log the event, or only count it (`suppressed`) if an event with this name was logged within the period."""
        now = self._clock()
        if now - self._last.get(name, -self._period) < self._period:
            self._suppressed[name] = self._suppressed.get(name, 0) + 1
            return
        self._last[name] = now
        event(level, name, error=None, suppressed=self._suppressed.pop(name, 0), **fields)
