"""Open the pool's connections and configure their sessions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from psycopg.conninfo import make_conninfo
from psycopg.errors import ConnectionTimeout

from sqlproxy.errors import DatabaseUnreachable
from sqlproxy.postgres.connection import Connection
from sqlproxy.postgres.prepared_statements import PreparedStatements
from sqlproxy.postgres.session import session_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlproxy.operations.settings import Settings

__all__ = ["Opener"]


class Opener:
    """Opens connections to Postgres.

    Session settings are sent as start-up options. This costs no round trip, and a reset of the session restores them.
    Some poolers refuse such options: the connection is then opened without them, and a statement sets the settings.

    Args:
        settings: the settings of the process.
        params: libpq's parameters.
    """

    def __init__(self, settings: Settings, params: Mapping[str, str | int]) -> None:
        self._settings = settings
        self._session = session_settings(settings)
        plain = make_conninfo("", **params)
        # The connection strings to try, in this order, until one of them works.
        self._conninfos = [plain]
        # These options would replace those of a connection service.
        if not (params.get("service") or os.environ.get("PGSERVICE")):
            self._conninfos.insert(0, make_conninfo(plain, options=_options(params, self._session)))

    async def __call__(self, on_lost: Callable[[Connection], None]) -> Connection:
        """Open a connection.

        Args:
            on_lost: called once if the connection ends while it is idle.

        Raises:
            DatabaseUnreachable: the connection failed, as in `Connection.open`.
        """
        *with_options, last = self._conninfos
        for conninfo in with_options:
            try:
                connection = await self._open(conninfo, on_lost)
            except DatabaseUnreachable as exc:
                # A server that refuses the options answers at once, so a timeout has another cause.
                if isinstance(exc.__cause__, TimeoutError | ConnectionTimeout):
                    raise
            else:
                self._conninfos = [conninfo]
                return connection
        return await self._open(last, on_lost)

    async def _open(self, conninfo: str, on_lost: Callable[[Connection], None]) -> Connection:
        settings = self._settings
        return await Connection.open(
            conninfo,
            self._session,
            on_lost,
            PreparedStatements(settings.prepare_threshold),
            # Without an allow-list, a statement may leave any state in the session.
            reset_after_use=settings.allowed is None,
            # libpq doubles its buffer until a message fits, and also keeps a chunk of rows.
            max_buffer_growth=(1 << settings.answer_limit.bit_length()) + settings.answer_limit + 1024 * 1024,
            setup_timeout=settings.connect_timeout,
        )


def _options(params: Mapping[str, str | int], session: Mapping[str, str]) -> str:
    """Return the start-up options: the operator's, followed by the session settings."""
    operator_options = str(params.get("options") or os.environ.get("PGOPTIONS", ""))
    return " ".join([operator_options, *(f"-c {name}={value}" for name, value in session.items())]).strip()
