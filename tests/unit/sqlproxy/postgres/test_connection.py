"""A connection's use of libpq, in states that are hard to reach with a real server."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, cast

import psycopg
import pytest
from psycopg import pq

from sqlproxy.dialect.answer import Answer
from sqlproxy.dialect.request import Statement
from sqlproxy.errors import DatabaseError, DatabaseUnreachable, InternalError, OutcomeUnknown
from sqlproxy.postgres.connection import Connection, SessionNotReset
from sqlproxy.postgres.prepared_statements import PreparedStatements

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

STATEMENT = Statement(b"SELECT 1", [], array_mode=True)


class FakeResult:
    """A fake libpq result: rows of one text column, an error, or a result without rows."""

    def __init__(self, status: int, *, rows: list[bytes] | None = None, **fields: bytes) -> None:
        self.status = status
        self.command_status = b""
        self._rows = rows or []
        self.ntuples = len(self._rows)
        self.nfields = 1 if rows else 0
        self._fields = {pq.DiagnosticField[name]: value for name, value in fields.items()}

    def error_field(self, field: int) -> bytes | None:
        """Return a field of an error."""
        return self._fields.get(pq.DiagnosticField(field))

    def fname(self, _: int) -> bytes:
        """Return the column's name."""
        return b"c"

    def ftype(self, _: int) -> int:
        """Return the OID of text."""
        return 25

    def get_value(self, row: int, _: int) -> bytes:
        """Return one value."""
        return self._rows[row]

    ftable = ftablecol = fsize = fmod = ftype


class FakeLibpq:
    """A fake libpq connection on one end of a socket pair; the test has the other end."""

    def __init__(self) -> None:
        ours, self.server = socket.socketpair()
        self._ours = ours
        self.socket = ours.fileno()
        self.status = pq.ConnStatus.OK
        self.transaction_status = pq.TransactionStatus.IDLE
        self.results: list[FakeResult | None] = []
        self.sent: list[object] = []
        self.fails: set[str] = set()
        self.unsent = 0
        self.pipelined = False

    def _maybe_fail(self, name: str) -> None:
        if name in self.fails:
            raise psycopg.OperationalError("canary")

    def send_query_params(self, query: object, _: object) -> None:
        """Record a statement. Its results are available at once, unless `fails` contains "silent"."""
        self._maybe_fail("send")
        self.sent.append(query)
        if "silent" not in self.fails:
            self.server.send(b"x")

    def send_prepare(self, name: bytes, _: bytes) -> None:
        """Record the name; the result is available at once."""
        self.sent.append(b"prepare " + name)
        self.server.send(b"x")

    def send_query_prepared(self, name: bytes, _: object) -> None:
        """Record the name; the results are available at once."""
        self.sent.append(b"execute " + name)
        self.server.send(b"x")

    def enter_pipeline_mode(self) -> None:
        """Begin a pipeline."""
        self._maybe_fail("pipeline")
        self.pipelined = True

    def exit_pipeline_mode(self) -> None:
        """End the pipeline."""
        self.pipelined = False

    def notifies(self) -> None:
        """Return None: there are no notifications."""

    def pipeline_sync(self) -> None:
        """Record the call."""
        self.sent.append("sync")

    def set_chunked_rows_mode(self, _: int) -> None:
        """Record the call."""
        self.sent.append("chunked")

    def flush(self) -> int:
        """Return whether data is still unsent."""
        self._maybe_fail("flush")
        return self.unsent

    def consume_input(self) -> None:
        """Read one byte."""
        self._maybe_fail("consume")
        self._ours.recv(1)

    def is_busy(self) -> int:
        """Return whether a pipeline waits for results."""
        return self.pipelined and not self.results

    def get_result(self) -> FakeResult | None:
        """Return the next result that the test provided."""
        return self.results.pop(0) if self.results else None

    def finish(self) -> None:
        """Disconnect."""
        self.status = pq.ConnStatus.BAD
        self._ours.close()


class FakeRaw:
    """A fake psycopg connection."""

    def __init__(self, libpq: FakeLibpq) -> None:
        self.pgconn = libpq

    async def cancel_safe(self, *, timeout: float) -> None:  # noqa: ASYNC109 - psycopg's signature
        """Do nothing, or fail if `fails` contains "cancel"."""
        assert timeout > 0
        if "cancel" in self.pgconn.fails:
            raise psycopg.OperationalError("canary")


@pytest.fixture
def libpq() -> Iterator[FakeLibpq]:
    """Return a fake libpq connection and close it at the end."""
    fake = FakeLibpq()
    yield fake
    fake.finish()
    fake.server.close()


def connect(
    libpq: FakeLibpq,
    lost: list[Connection] | None = None,
    reset: tuple[bytes, ...] = (),
    prepare_threshold: int = 0,
) -> Connection:
    """Return a connection that uses the fake."""
    on_lost = [] if lost is None else lost
    return Connection(cast("Any", FakeRaw(libpq)), on_lost.append, PreparedStatements(prepare_threshold), reset)


DONE, SYNC = FakeResult(pq.ExecStatus.COMMAND_OK), FakeResult(pq.ExecStatus.PIPELINE_SYNC)
ABORTED = FakeResult(pq.ExecStatus.PIPELINE_ABORTED)
# The reset that is sent with a statement, which ends with preparing an empty statement, and its results.
RESET, RESET_DONE = (b"DISCARD ALL", b"prepare "), (DONE, None, DONE, None)


async def used_connection(
    libpq: FakeLibpq, tag: bytes = b"", reset: tuple[bytes, ...] = (b"DISCARD ALL",), *, trusted: bool = False
) -> Connection:
    """Return a connection that a request has used."""
    connection = connect(libpq, reset=reset)
    connection.begin_request(trusted=trusted)
    result = FakeResult(pq.ExecStatus.COMMAND_OK)
    result.command_status = tag
    libpq.results = [result]
    await connection.execute(STATEMENT, answer())
    libpq.sent.clear()
    return connection


def answer() -> Answer:
    """Return an empty response."""
    return Answer(array_mode=True, raw_text=True, limit=1000)


@pytest.mark.parametrize("call", ["send", "flush", "consume"])
async def test_a_failure_during_a_statement_means_an_unknown_outcome(libpq: FakeLibpq, call: str) -> None:
    """The server may have received the statement; libpq's text is not in the error."""
    connection = connect(libpq)
    libpq.fails.add(call)
    with pytest.raises(OutcomeUnknown) as caught:
        await connection.execute(STATEMENT, answer())
    assert connection.closed
    assert "canary" not in str(caught.value)
    assert caught.value.executed is None


async def test_a_connection_lost_after_the_rows_means_an_unknown_outcome(libpq: FakeLibpq) -> None:
    """Without the server's ReadyForQuery the statement may not have been committed."""
    connection = connect(libpq)
    libpq.results = [FakeResult(pq.ExecStatus.TUPLES_OK, rows=[b"1"])]
    libpq.status = pq.ConnStatus.BAD
    with pytest.raises(OutcomeUnknown):
        await connection.execute(STATEMENT, answer())


async def test_an_error_after_the_rows_is_reported(libpq: FakeLibpq) -> None:
    """A deferred constraint may fail at the commit; the first error is reported."""
    connection = connect(libpq)
    libpq.results = [
        FakeResult(pq.ExecStatus.TUPLES_OK, rows=[b"1"]),
        FakeResult(pq.ExecStatus.FATAL_ERROR, SQLSTATE=b"23505", MESSAGE_PRIMARY=b"caf\xe9"),
        FakeResult(pq.ExecStatus.FATAL_ERROR, SQLSTATE=b"25P02"),
    ]
    with pytest.raises(DatabaseError) as caught:
        await connection.execute(STATEMENT, answer())
    assert (caught.value.code, caught.value.message) == ("23505", "caf\ufffd")
    assert connection.reusable


async def test_a_fatal_error_closes_the_connection(libpq: FakeLibpq) -> None:
    """Postgres has ended the session; the outcome is unknown."""
    connection = connect(libpq)
    libpq.results = [FakeResult(pq.ExecStatus.FATAL_ERROR, SEVERITY_NONLOCALIZED=b"FATAL", SQLSTATE=b"57P01")]
    with pytest.raises(OutcomeUnknown):
        await connection.execute(STATEMENT, answer())
    assert connection.closed


async def test_a_value_that_is_not_utf8_causes_an_internal_error_after_execution(libpq: FakeLibpq) -> None:
    """A database with encoding SQL_ASCII may contain any bytes."""
    connection = connect(libpq)
    libpq.results = [FakeResult(pq.ExecStatus.TUPLES_OK, rows=[b"\xff"])]
    with pytest.raises(InternalError) as caught:
        await connection.execute(STATEMENT, answer())
    assert caught.value.executed is True
    assert not connection.reusable


@pytest.mark.parametrize("outcome", ["done", "failed", "lost", "late"])
async def test_a_reset_frees_the_connection(libpq: FakeLibpq, monkeypatch: pytest.MonkeyPatch, outcome: str) -> None:
    """The connection is closed if the reset fails or times out."""
    monkeypatch.setattr("sqlproxy.postgres.connection._RESET_SECONDS", 0.01)
    connection = await used_connection(libpq)
    connection.reset()
    assert (connection.resetting, connection.needs_reset, connection.active) == (True, True, True)
    ended: list[Connection] = []
    connection.when_reset(ended.append)
    if outcome == "lost":
        libpq.fails.add("consume")
    libpq.results = [DONE if outcome == "done" else FakeResult(pq.ExecStatus.FATAL_ERROR), SYNC]
    if outcome == "late":
        libpq.results = []
        await asyncio.sleep(0.05)
    else:
        libpq.server.send(b"x")
        await asyncio.sleep(0.005)
    assert ended == [connection]
    assert (connection.resetting, connection.active) == (False, False)
    assert connection.closed is (outcome != "done")
    assert connection.needs_reset is (outcome != "done")


async def test_a_connection_that_cannot_begin_a_reset_is_closed(libpq: FakeLibpq) -> None:
    """Another request must not use its session."""
    connection = await used_connection(libpq)
    libpq.fails = {"pipeline"}
    connection.reset()
    assert connection.closed


async def test_a_reset_can_be_pipelined_with_the_next_statement(libpq: FakeLibpq) -> None:
    """One sync message ends reset and statement; the response has the statement's rows. The session stays usable."""
    connection = await used_connection(libpq)
    connection.begin_request(trusted=False)
    libpq.results = [*RESET_DONE, FakeResult(pq.ExecStatus.TUPLES_OK, rows=[b"1"]), None, SYNC]
    rows = answer()
    await connection.execute(STATEMENT, rows)
    assert libpq.sent == [*RESET, b"SELECT 1", "sync", "chunked"]
    assert b'"rows":[["1"]]' in rows.json()
    assert (libpq.pipelined, connection.needs_reset, connection.reusable) == (False, True, True)


@pytest.mark.parametrize(
    ("first", "second", "needed"), [(True, True, False), (True, False, True), (False, True, True), (False, False, True)]
)
async def test_only_trusted_statements_share_a_session(
    libpq: FakeLibpq, first: bool, second: bool, needed: bool
) -> None:
    """A trusted statement needs no reset after a trusted one; the three other pairs need a reset in between."""
    connection = await used_connection(libpq, trusted=first)
    assert connection.needs_reset is not first
    connection.begin_request(trusted=second)
    libpq.results = [*RESET_DONE, DONE, None, SYNC] if needed else [DONE]
    await connection.execute(STATEMENT, answer())
    assert (b"DISCARD ALL" in libpq.sent) is needed
    assert connection.needs_reset is not second


async def test_only_trusted_statements_are_prepared(libpq: FakeLibpq) -> None:
    """The session of any other statement is reset after it, which would deallocate the prepared statement."""
    connection = connect(libpq, reset=(b"DISCARD ALL",), prepare_threshold=1)
    libpq.results = [DONE]
    connection.begin_request(trusted=False)
    await connection.execute(STATEMENT, answer())
    assert libpq.sent == [b"SELECT 1", "chunked"]


@pytest.mark.parametrize("separate", [False, True], ids=["with the next statement", "separate"])
async def test_a_reset_deallocates_prepared_statements(libpq: FakeLibpq, separate: bool) -> None:
    """Later the statement is prepared again, under another name."""
    connection = connect(libpq, reset=(b"DISCARD ALL",), prepare_threshold=1)

    async def run(*results: FakeResult | None, trusted: bool = True) -> list[object]:
        libpq.sent.clear()
        libpq.results = list(results)
        connection.begin_request(trusted=trusted)
        await connection.execute(STATEMENT, answer())
        return libpq.sent

    assert await run(DONE, None, DONE) == [b"prepare sqlproxy_1", b"execute sqlproxy_1", "chunked"]
    if separate:
        connection.reset()
        libpq.results = [DONE, SYNC]
        await asyncio.sleep(0.005)
    else:
        with_reset = [*RESET, b"SELECT 1", "sync", "chunked"]
        assert await run(*RESET_DONE, DONE, None, SYNC, trusted=False) == with_reset
        assert await run(*RESET_DONE, DONE, None, SYNC) == with_reset
    assert await run(DONE, None, DONE) == [b"prepare sqlproxy_2", b"execute sqlproxy_2", "chunked"]
    assert await run(DONE) == [b"execute sqlproxy_2", "chunked"]


async def test_a_session_that_a_trusted_statement_changed_is_reset(libpq: FakeLibpq) -> None:
    """The command tag shows that the statement should not have been trusted."""
    connection = await used_connection(libpq, b"SET", trusted=True)
    assert connection.needs_reset


async def test_every_request_resets_a_session_whose_reset_has_several_queries(libpq: FakeLibpq) -> None:
    """A reset of several queries cannot be sent with a statement, so the pool resets the session after each request."""
    connection = await used_connection(
        libpq, reset=(b"DISCARD ALL", b"SELECT set_config('a.b', 'c', false)"), trusted=True
    )
    assert connection.needs_reset
    assert not connection.can_reset_first


@pytest.mark.parametrize(
    "results",
    [
        [FakeResult(pq.ExecStatus.FATAL_ERROR, SEVERITY_NONLOCALIZED=b"ERROR"), None, ABORTED],
        [FakeResult(pq.ExecStatus.FATAL_ERROR, SEVERITY_NONLOCALIZED=b"FATAL"), None, ABORTED],
        [DONE, None, FakeResult(pq.ExecStatus.FATAL_ERROR, SEVERITY_NONLOCALIZED=b"ERROR", SQLSTATE=b"57014")],
    ],
    ids=["ERROR", "FATAL", "timeout of another client after the reset"],
)
async def test_no_statement_runs_in_a_session_that_was_not_reset(
    libpq: FakeLibpq, results: list[FakeResult | None]
) -> None:
    """The reset or the empty statement after it fails: Postgres skips the statement, and the connection is replaced."""
    connection = await used_connection(libpq)
    connection.begin_request(trusted=False)
    libpq.results = [*results, None, ABORTED, None, SYNC]
    with pytest.raises(SessionNotReset):
        await connection.execute(STATEMENT, answer())
    assert not connection.reusable


async def test_a_connection_lost_during_a_pipelined_reset_means_an_unknown_outcome(libpq: FakeLibpq) -> None:
    """Postgres may have run both the reset and the statement."""
    connection = await used_connection(libpq)
    connection.begin_request(trusted=False)
    libpq.fails.add("consume")
    with pytest.raises(OutcomeUnknown):
        await connection.execute(STATEMENT, answer())


@pytest.mark.parametrize("call", ["flush", "consume"])
async def test_a_session_that_ended_before_its_reset_ran_no_statement(libpq: FakeLibpq, call: str) -> None:
    """The reason was received while the session was idle, so the statement can run in another session."""
    connection = await used_connection(libpq)
    connection.begin_request(trusted=False)
    libpq.fails.add(call)
    libpq.results = [FakeResult(pq.ExecStatus.FATAL_ERROR, SEVERITY_NONLOCALIZED=b"FATAL", SQLSTATE=b"57P05")]
    with pytest.raises(SessionNotReset):
        await connection.execute(STATEMENT, answer())
    assert connection.closed


@pytest.mark.parametrize(("tag", "can"), [(b"INSERT 0 1", True), (b"SELECT 1", True), (b"SET", False), (b"DO", False)])
async def test_a_session_that_a_statement_changed_is_reset_at_once(libpq: FakeLibpq, tag: bytes, can: bool) -> None:
    """The reset may take a long time. If it were sent with the next statement, that request would have to wait."""
    connection = await used_connection(libpq, tag)
    assert connection.can_reset_first is can


async def test_draining_an_idle_connection_does_nothing(libpq: FakeLibpq) -> None:
    """The statement may end before draining begins."""
    connection = connect(libpq)
    await connection.drain()
    assert connection.reusable


async def test_a_connection_can_be_closed_twice(libpq: FakeLibpq) -> None:
    """Two callers may notice the same disconnect."""
    connection = connect(libpq)
    connection.close()
    connection.close()
    assert connection.closed
    assert not connection.check()


async def test_a_failed_idle_connection_is_reported_once(libpq: FakeLibpq) -> None:
    """The pool can then replace the connection."""
    lost: list[Connection] = []
    connection = connect(libpq, lost)
    libpq.fails.add("consume")
    libpq.server.send(b"x")
    assert not connection.check()
    assert lost == [connection]


@pytest.mark.parametrize("fails", ["cancel", ""])
async def test_a_statement_that_does_not_end_closes_the_connection(
    libpq: FakeLibpq, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """A part of the statement is still unsent, and the cancellation fails or has no effect."""
    monkeypatch.setattr("sqlproxy.postgres.connection._CANCEL_SECONDS", 0.005)
    libpq.unsent = 1
    libpq.fails = {fails, "silent"}
    connection = connect(libpq)
    task = asyncio.create_task(connection.execute(STATEMENT, answer()))
    while not connection.active:  # noqa: ASYNC110 - a few turns of the event loop
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert connection.active
    await connection.drain()
    assert connection.closed
    assert not connection.active


@pytest.mark.parametrize("fails", ["send", "silent"])
async def test_a_session_that_cannot_be_configured_is_closed(
    libpq: FakeLibpq, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """A session without its timeouts must not be used; waiting for a silent server is limited."""

    async def fake_connect(*_: object, **__: object) -> FakeRaw:
        return FakeRaw(libpq)

    monkeypatch.setattr("psycopg.AsyncConnection.connect", fake_connect)
    libpq.fails = {fails}
    with pytest.raises(DatabaseUnreachable):
        async with asyncio.timeout(5):
            await Connection.open("", {}, lambda _: None, PreparedStatements(0), setup_timeout=0.01)
    assert libpq.status == pq.ConnStatus.BAD


async def test_a_host_name_that_cannot_be_encoded_is_an_unreachable_database() -> None:
    """The name may come from libpq's environment variables, which are not validated with the settings."""
    with pytest.raises(DatabaseUnreachable):
        await Connection.open(f"host={'a' * 70}", {}, lambda _: None, PreparedStatements(0))
