"""A fake of Prisma Postgres' HTTP API in front of any Postgres, because the real service cannot run locally.

test_reference.py checks the fake with the reference client, npm's @prisma/ppg. Details that the client does not depend
on, such as the status of a refusal, are assumptions. The client's transport is src/transport/*.ts of that package.

Environment: DATABASE_URL, KEY, STATEMENT_TIMEOUT (ms). The program prints {"port": N} when it listens on 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
from base64 import b64decode
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

import psycopg
import uvicorn
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

POOL = AsyncConnectionPool[psycopg.AsyncConnection[tuple[object, ...]]](
    os.environ["DATABASE_URL"],
    min_size=1,
    max_size=8,
    timeout=2,
    reconnect_timeout=5,
    check=AsyncConnectionPool.check_connection,
    kwargs={"autocommit": True, "options": f"-c statement_timeout={os.environ['STATEMENT_TIMEOUT']}"},
    open=False,
)


async def run_statement(request: Request) -> Response:
    """Execute one statement and respond with one JSON object per line."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    _, _, key = b64decode(credentials).decode().partition(":")
    if scheme != "Basic" or not secrets.compare_digest(key.encode(), os.environ["KEY"].encode()):
        return Response("unauthorized", HTTPStatus.UNAUTHORIZED)
    _, _, boundary = request.headers["content-type"].partition("boundary=")
    sql, parameters = parse(await request.body(), boundary.encode())
    try:
        frames = await run(sql, parameters)
    except PoolTimeout:
        return Response("no connection", HTTPStatus.SERVICE_UNAVAILABLE)
    except psycopg.Error as exc:
        # psycopg's own errors have no SQLSTATE. One of them is a NUL in a parameter, which psycopg does not send.
        sqlstate = exc.sqlstate or ("22021" if "NUL" in str(exc) else "08P01")
        details = {"severity": exc.diag.severity, "detail": exc.diag.message_detail}
        error = {"message": str(exc), "code": sqlstate, "constraint": exc.diag.constraint_name, **details}
        frames = [{"error": {name: value for name, value in error.items() if value is not None}}]
    lines = "".join(json.dumps(frame) + "\n" for frame in frames)
    return Response(lines, media_type="application/x-ndjson")


def parse(body: bytes, boundary: bytes) -> tuple[str, list[str | None]]:
    """Return the statement and its parameters from a multipart body."""
    before, *parts, after = (b"\r\n" + body).split(b"\r\n--" + boundary)
    assert not before
    assert after == b"--\r\n"
    heads, contents = zip(*(part.removeprefix(b"\r\n").split(b"\r\n\r\n", 1) for part in parts), strict=True)
    assert b'name="urn:prisma:query:descriptor"' in heads[0]
    assert all(b'name="urn:prisma:query:param:text"' in head for head in heads[1:])
    descriptor = json.loads(contents[0])
    long_values = iter(contents[1:])
    parameters: list[str | None] = []
    for parameter in descriptor.get("parameters", []):
        assert parameter["type"] == "text"
        if "byteSize" in parameter:
            value = next(long_values)
            assert len(value) == parameter["byteSize"]
            parameters.append(value.decode())
        else:
            parameters.append(parameter["value"])
    assert not list(long_values)
    return descriptor["query"], parameters


async def run(sql: str, parameters: list[str | None]) -> list[dict[str, object]]:
    """Execute a statement; return its frames, with every value in Postgres' text format."""
    async with POOL.connection() as connection, psycopg.AsyncRawCursor(connection) as cursor:
        # Even without parameters, a prepared statement uses the extended protocol. It allows only one statement.
        await cursor.execute(sql.encode(), parameters, prepare=not parameters)
        result = cursor.pgresult
        assert result is not None
        columns = [{"name": column.name, "typeOid": column.type_code} for column in cursor.description or ()]
        rows = [[result.get_value(row, column) for column in range(result.nfields)] for row in range(result.ntuples)]
    frames: list[dict[str, object]] = [{"columns": columns}]
    frames += [{"values": [None if value is None else value.decode() for value in row]} for row in rows]
    return [*frames, {"complete": True}]


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Open the connection pool while the server runs."""
    async with POOL:
        yield


async def main() -> None:
    """Run the server until a signal stops it."""
    app = Starlette(routes=[Route("/v0/statement", run_statement, methods=["POST"])], lifespan=lifespan)
    listening = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": listening.getsockname()[1]}), flush=True)  # noqa: T201 - the parent process reads it
    await uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none")).serve([listening])


if __name__ == "__main__":
    asyncio.run(main())
