"""Logs and metrics, and the secrets that they must not contain."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from sqlproxy.errors import DatabaseUnreachable
from sqlproxy.operations import log
from sqlproxy.operations.metrics import Histogram, Metrics
from sqlproxy.operations.settings import read
from sqlproxy.postgres.session import StateLog, connection_params, scrub, session_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "canary-of-the-log"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Capture the log."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log.configure("debug", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def entries(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return the parsed log lines."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_line(lines: io.StringIO) -> None:
    """The line has the time, the level and the fields."""
    log.event(logging.INFO, "listening", port=1)
    (entry,) = entries(lines)
    assert entry["event"] == "listening"
    assert (entry["level"], entry["port"]) == ("info", 1)
    assert entry["time"].endswith("+00:00")


def test_an_exception_is_logged_without_its_text(lines: io.StringIO) -> None:
    """The type and the stack trace are logged, even if another library logs the exception."""
    try:
        int(SECRET)
    except ValueError as exc:
        log.event(logging.ERROR, "internal_error", error=exc)
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    assert SECRET not in lines.getvalue()
    for entry in entries(lines):
        assert entry["error"] == "ValueError"
        assert "test_observability.py" in entry["trace"][0]


def test_other_loggers_log_warnings_and_errors_only(lines: io.StringIO) -> None:
    """Psycopg's debug log contains connection strings."""
    logging.getLogger("psycopg").debug(SECRET)
    logging.getLogger("uvicorn.error").info("noise")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert [entry["event"] for entry in entries(lines)] == ["Invalid HTTP request received."]


def test_repeated_events_are_throttled(lines: io.StringIO) -> None:
    """The next line has the number of suppressed events; each event has its own period."""
    now = 100.0
    throttle = log.Throttle(period=1.0, clock=lambda: now)
    for _ in range(3):
        throttle.event(logging.WARNING, "request_rejected")
    throttle.event(logging.WARNING, "request_failed")
    now = 101.0
    throttle.event(logging.WARNING, "request_rejected")
    assert [(entry["event"], entry["suppressed"]) for entry in entries(lines)] == [
        ("request_rejected", 0),
        ("request_failed", 0),
        ("request_rejected", 2),
    ]


def test_the_state_of_the_database_is_logged_when_it_changes(lines: io.StringIO) -> None:
    """The line has the cause, without the values of the connection string."""
    state = StateLog({"host": "db.internal", "password": SECRET})
    error = DatabaseUnreachable("no")
    error.__cause__ = OSError(f"connection to db.internal failed: {SECRET}\n  is it running?")
    for outcome in (None, error, error, None, None):
        state(outcome)
    down, up = entries(lines)
    assert (down["event"], up["event"]) == ("database_unreachable", "database_reachable")
    assert down["cause"] == "connection to <host> failed: <password> is it running?"


def test_scrubbing_replaces_the_longest_value_first() -> None:
    """A password that contains the user name is replaced as a whole."""
    assert scrub("ada ada-secret", {"user": "ada", "password": "ada-secret", "dbname": ""}) == "<user> <password>"


@pytest.mark.parametrize(
    "name", ["password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret"]
)
def test_scrubbing_replaces_every_kind_of_secret(name: str) -> None:
    """A secret is replaced within words too."""
    assert scrub("theirs-and-mine", {name: "and"}) == f"theirs-<{name}>-mine"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (
            {"user": "a", "host": "s"},
            'connection to server at "<host>" (127.0.0.1) failed: FATAL: role "<user>" is a role',
        ),
        (
            {"user": "role", "host": "s"},
            'connection to server at "<host>" (127.0.0.1) failed: FATAL: <user> "a" is a <user>',
        ),
        (
            {"hostaddr": "127.0.0.1", "dbname": "user"},
            'connection to server at "s" (<hostaddr>) failed: FATAL: role "a" is a role',
        ),
        (
            {"user": "erver", "password": "ro"},
            'connection to server at "s" (127.0.0.1) failed: FATAL: role "a" is a role',
        ),
        ({"host": "x,s"}, 'connection to server at "<host>" (127.0.0.1) failed: FATAL: role "a" is a role'),
        ({"password": "server"}, 'connection to <password> at "s" (127.0.0.1) failed: FATAL: role "a" is a role'),
        (
            {"user": "user", "password": "<user>"},
            'connection to server at "s" (127.0.0.1) failed: FATAL: role "a" is a role',
        ),
    ],
)
def test_scrubbing_keeps_the_rest_of_the_text(params: dict[str, str], expected: str) -> None:
    """Names are replaced as whole words, short values only in quotes or parentheses; replacements are not searched."""
    assert scrub('connection to server at "s" (127.0.0.1) failed: FATAL: role "a" is a role', params) == expected


def test_the_connection_string_overrides_parameters_except_the_encoding() -> None:
    """The protocol needs UTF-8."""
    url = "postgres://u@h/d?application_name=mine&client_encoding=LATIN1&tcp_user_timeout=1"
    settings = read({"statement_timeout": "1.5"}, {"SQLPROXY_DATABASE_URL": url, "SQLPROXY_TOKEN": "t" * 16})
    params = connection_params(settings)
    assert params["application_name"] == "mine"
    assert params["tcp_user_timeout"] == "1"
    assert params["client_encoding"] == "UTF8"
    assert session_settings(settings)["statement_timeout"] == "1500"


def test_histogram_buckets_are_cumulative() -> None:
    """Prometheus requires cumulative counts."""
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.1, 0.5, 5.0):
        histogram.observe(seconds)
    assert list(histogram.lines("x")) == [
        'x_bucket{le="0.1"} 1',
        'x_bucket{le="1.0"} 2',
        'x_bucket{le="+Inf"} 3',
        "x_sum 5.600000",
        "x_count 3",
    ]


def test_metrics_are_in_prometheus_format() -> None:
    """Each sample belongs to a metric family with a type."""
    metrics = Metrics()
    metrics.requests["200"] += 2
    metrics.rejected["queue_full"] += 1
    metrics.errors["23"] += 1
    text = metrics.render({"sqlproxy_pool_size": ("Most connections.", {"": 10})})
    assert text.endswith("\n")
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    for sample in samples:
        name = sample.split("{")[0].split()[0]
        assert any(name == family or name.removeprefix(family) in {"_bucket", "_sum", "_count"} for family in families)
    assert "sqlproxy_pool_size 10" in samples
    assert 'sqlproxy_requests_total{status="200"} 2' in samples
    assert 'sqlproxy_rejected_total{reason="queue_full"} 1' in samples
    assert 'sqlproxy_errors_total{class="23"} 1' in samples
