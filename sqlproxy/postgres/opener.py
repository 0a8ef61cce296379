"""Opens the pool's connections: what each session has from its beginning."""

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

    The settings of a session are sent as start-up options, which cost nothing more and which a reset returns to. Some
    poolers refuse such options: the connection is then opened without, and the settings are set by statements.

    Args:
        settings: Of the process.
        params: libpq's parameters.
    """

    def __init__(self, settings: Settings, params: Mapping[str, str | int]) -> None:
        self._settings = settings
        self._session = session_settings(settings)
        self._conninfo = make_conninfo("", **params)
        self._with_options = make_conninfo(self._conninfo, options=_options(params, self._session))
        self._options_accepted = False

    async def __call__(self, on_lost: Callable[[Connection], None]) -> Connection:
        """Open a connection.

        Args:
            on_lost: Called once when the connection ends while it is idle.

        Raises:
            DatabaseUnreachable: As for `Connection.open`.
        """
        try:
            connection = await self._open(self._with_options, on_lost)
        except DatabaseUnreachable as exc:
            # A server that refuses the options answers at once.
            if self._options_accepted or isinstance(exc.__cause__, TimeoutError | ConnectionTimeout):
                raise
            return await self._open(self._conninfo, on_lost)
        self._options_accepted = True
        return connection

    async def _open(self, conninfo: str, on_lost: Callable[[Connection], None]) -> Connection:
        settings = self._settings
        # The statements of a list are the operator's. Any others may leave anything in the session, prepared statements
        # under our names included.
        trusted = settings.allowed is not None
        return await Connection.open(
            conninfo,
            self._session,
            on_lost,
            PreparedStatements(settings.prepare_threshold if trusted else 0),
            reset_after_use=not trusted,
            # libpq doubles its buffer until a message fits, and keeps a chunk of rows beside it.
            max_buffer_growth=(1 << settings.answer_limit.bit_length()) + settings.answer_limit + 1024 * 1024,
            setup_timeout=settings.connect_timeout,
        )


def _options(params: Mapping[str, str | int], session: Mapping[str, str]) -> str:
    """Return the start-up options: the operator's, and then the session's settings."""
    operator_options = str(params.get("options") or os.environ.get("PGOPTIONS", ""))
    return " ".join([operator_options, *(f"-c {name}={value}" for name, value in session.items())]).strip()
