"""The server: one process with uvicorn and a connection pool, or several such worker processes."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import sys
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, cast

import uvicorn

from sqlproxy.errors import SettingError
from sqlproxy.http.app import App
from sqlproxy.http.auth import Authenticator
from sqlproxy.http.bounds import bounded_connections
from sqlproxy.http.uvicorn_adapter import Protocol, Server
from sqlproxy.operations import log
from sqlproxy.operations.memory import Budget
from sqlproxy.operations.metrics import Metrics
from sqlproxy.operations.open_files import allow_files
from sqlproxy.operations.settings import share
from sqlproxy.operations.shared_metrics import Board, SharedMetrics
from sqlproxy.operations.shutdown import stop_by_pipe, stop_by_signal
from sqlproxy.operations.worker_processes import Supervisor
from sqlproxy.postgres.database import Database
from sqlproxy.postgres.opener import Opener
from sqlproxy.postgres.pool import Pool
from sqlproxy.postgres.session import StateLog, connection_params

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlproxy.operations.metrics import Gauges
    from sqlproxy.operations.settings import Settings

if sys.platform == "win32":  # pragma: no cover
    from asyncio import new_event_loop
else:
    from uvloop import new_event_loop

__all__ = ["serve"]

# Seconds after `stop_timeout` to cancel running statements in Postgres.
_CLEAN_UP_SECONDS = 2.0
_EXIT_SECONDS = 1.0
# The number of open files of a process in addition to its connections.
_OWN_FILES = 64
_PUBLISH_SECONDS = 0.5


def serve(settings: Settings) -> int:
    """Run the proxy until a signal ends it.

    Returns:
        The exit status: 0 after a graceful stop, 1 after a forced stop. With several processes, see `Supervisor.run`.

    Raises:
        SettingError: the address cannot be used, or the certificate and its key cannot be loaded.
    """
    _check_certificate(settings)
    listeners = _listen(settings)
    needed = settings.max_connections + settings.pool_size + _OWN_FILES
    if (allowed := allow_files(needed)) < needed:
        log.event(logging.WARNING, "file_limit_too_low", needed=needed, allowed=allowed)
    try:
        if settings.processes == 1:
            return _serve(settings, listeners[0], Metrics(), lambda: _announce(settings, listeners[0]))
        _announce(settings, listeners[0])
        board = Board(settings.processes)

        def work(index: int, stop_pipe: int) -> int:
            for listener in listeners[:index] + listeners[index + 1 :]:
                listener.close()
            return _serve(share(settings, index), listeners[index], SharedMetrics(board, index), stop_pipe=stop_pipe)

        stop_limit = settings.stop_timeout + _CLEAN_UP_SECONDS + 2 * _EXIT_SECONDS
        return Supervisor(settings.processes, work, lambda: _close(listeners), stop_limit=stop_limit).run()
    finally:
        _close(listeners)


def _serve(
    settings: Settings,
    listener: socket.socket,
    metrics: Metrics,
    on_listening: Callable[[], None] = lambda: None,
    stop_pipe: int | None = None,
) -> int:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(_run(settings, listener, metrics, on_listening, stop_pipe))


async def _run(
    settings: Settings,
    listener: socket.socket,
    metrics: Metrics,
    on_listening: Callable[[], None],
    stop_pipe: int | None,
) -> int:
    pool = _pool(settings)
    database = Database(
        pool,
        metrics,
        answer_limit=settings.answer_limit,
        trusted=settings.trusted,
        ping_timeout=settings.total_timeout,
    )
    app = App(
        database,
        Authenticator(settings.tokens),
        metrics,
        gauges=lambda: _gauges(pool, settings),
        body_limit=settings.body_limit,
        total_timeout=settings.total_timeout,
        budget=Budget(settings.memory_limit),
        allowed=settings.allowed,
    )

    @contextmanager
    def listen_for_stop(stop: Callable[[], None]) -> Iterator[None]:
        with stop_by_signal(stop) if stop_pipe is None else stop_by_pipe(stop_pipe, stop):
            on_listening()
            yield

    server = Server(_uvicorn_config(app, settings, metrics), listen_for_stop)
    pool.start()
    if isinstance(metrics, SharedMetrics):
        _publish(metrics, pool, settings)
    try:
        await server.serve(sockets=[listener])
    finally:
        database.stop()
        await pool.close(0 if server.was_forced else _CLEAN_UP_SECONDS)
    log.event(logging.INFO, "stopped", graceful=not server.was_forced)
    status = 1 if server.was_forced else 0
    _exit_within(_EXIT_SECONDS, status)
    return status


def _exit_within(seconds: float, status: int) -> None:
    """End the process within this time: otherwise the interpreter waits at exit until host name look-ups have ended."""
    timer = threading.Timer(seconds, os._exit, [status])
    timer.daemon = True
    timer.start()


def _publish(metrics: SharedMetrics, pool: Pool, settings: Settings) -> None:
    """Publish metrics for the other processes now, and then regularly until the event loop ends."""
    metrics.publish(_gauges(pool, settings))
    asyncio.get_running_loop().call_later(_PUBLISH_SECONDS, _publish, metrics, pool, settings)


def _uvicorn_config(app: App, settings: Settings, metrics: Metrics) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(Protocol, bounded_connections(settings, metrics))),
        log_config=None,
        # uvicorn logs a warning for each request that it cannot parse; `sqlproxy.http.bounds` logs refusals.
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        lifespan="off",
        ws="none",
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=settings.stop_timeout,
        ssl_certfile=settings.tls_cert or None,
        ssl_keyfile=settings.tls_key or None,
    )


def _check_certificate(settings: Settings) -> None:
    if settings.tls_cert:
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(settings.tls_cert, settings.tls_key)
        except (OSError, ValueError) as exc:
            raise SettingError(f"cannot load tls-cert and tls-key: {type(exc).__name__}") from exc


def _listen(settings: Settings) -> list[socket.socket]:
    """Return a listening socket for each process, all on one port."""
    listeners: list[socket.socket] = []
    port = settings.port
    try:
        addresses = socket.getaddrinfo(settings.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, (host, *_) = addresses[0]
        reuse_port = settings.processes > 1
        if reuse_port and port:
            # Check that the port is free: SO_REUSEPORT would share it with another sqlproxy that already listens on it.
            socket.create_server((host, port), family=family).close()
        for _ in range(settings.processes):
            listeners.append(socket.create_server((host, port), family=family, backlog=2048, reuse_port=reuse_port))
            port = listeners[0].getsockname()[1]
    except (OSError, ValueError) as exc:
        _close(listeners)
        # A host name that cannot be encoded raises a ValueError, which has no `strerror`.
        reason = getattr(exc, "strerror", None) or "not a valid name"
        raise SettingError(f"cannot listen on {settings.host} port {settings.port}: {reason}") from exc
    return listeners


def _close(listeners: list[socket.socket]) -> None:
    for listener in listeners:
        listener.close()


def _announce(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    tls = bool(settings.tls_cert)
    size, processes = settings.pool_size, settings.processes
    log.event(logging.INFO, "listening", host=host, port=port, tls=tls, pool_size=size, processes=processes)
    if settings.insecure_listen and not tls:
        log.event(logging.WARNING, "traffic_not_encrypted")


def _pool(settings: Settings) -> Pool:
    params = connection_params(settings)
    return Pool(
        Opener(settings, params),
        size=settings.pool_size,
        min_size=settings.min_connections,
        queue_length=settings.queue_length,
        wait_timeout=settings.wait_timeout,
        idle_timeout=settings.idle_timeout,
        max_lifetime=settings.max_lifetime,
        on_state=StateLog(params),
    )


def _gauges(pool: Pool, settings: Settings) -> Gauges:
    states = {"in_use": pool.in_use, "idle": pool.idle, "connecting": pool.connecting}
    return {
        "sqlproxy_connections": (
            "Connections to Postgres by state.",
            {f'{{state="{state}"}}': count for state, count in states.items()},
        ),
        "sqlproxy_pool_size": ("Maximum number of connections to Postgres.", {"": settings.pool_size}),
        "sqlproxy_waiting_requests": ("Requests waiting for a connection.", {"": pool.waiting}),
    }
