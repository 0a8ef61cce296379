"""Run sqlproxy, or Prisma's query plan executor, which implements Accelerate's protocol."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench import ROOT
from bench.client import Endpoint
from devstack.stack.services import Service, ServiceError, node

# The first statement in the file is the Worker's sign-up. Its parameters are name, address, hash and key.
SIGN_UP: str = json.loads((ROOT / "sqlproxy" / "worker-statements.json").read_bytes())[0]
KEY = "token-of-a-measurement"
# A PHC string as the Worker writes it. Hashing is not measured here.
PASSWORD = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$4bS8mFSmGkqVnG3HdVlb2gQ8yV0pWv0mZ0sWcHqv0Zc"  # noqa: S105 - not a secret
NAME = "Ada Lovelace"
_PARAMS = (NAME, "{email}", PASSWORD, "{key}")
_START_SECONDS = 60.0


@contextlib.contextmanager
def sqlproxy(database_url: str, pool_size: int, *flags: str, statement: str = SIGN_UP) -> Iterator[Endpoint]:
    """Run sqlproxy until the block ends; yield its endpoint."""
    command = [sys.executable, "-m", "sqlproxy", "--port", "0", "--pool-size", str(pool_size), *flags]
    environ = {**os.environ, "SQLPROXY_DATABASE_URL": database_url, "SQLPROXY_TOKEN": KEY}
    with run_program("sqlproxy", command, environ) as (port, pid):
        head = (
            f"POST /sql HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
            "Neon-Raw-Text-Output: true\r\nNeon-Array-Mode: true"
        )
        yield Endpoint(port, pid, head, json.dumps({"query": statement, "params": _PARAMS}))


@contextlib.contextmanager
def executor(database_url: str) -> Iterator[Endpoint]:
    """Run Prisma's executor until the block ends; yield its endpoint. Its pool has the default size of 10."""
    command = [node(), str(ROOT / "tests" / "contract" / "proxies" / "executor.mjs")]
    environ = {**os.environ, "DATABASE_URL": database_url, "API_KEY": KEY, "NODE_ENV": "production"}
    with run_program("executor", command, environ) as (port, pid):
        head = (
            f"POST /query HTTP/1.1\r\nAccept: application/json\r\nAuthorization: Bearer {KEY}\r\n"
            "Content-Type: application/json\r\nPrisma-Engine-Hash: 0.0.0"
        )
        types = [{"scalarType": "string", "arity": "scalar"}] * len(_PARAMS)
        plan = {"type": "query", "args": {"type": "rawSql", "sql": SIGN_UP, "args": _PARAMS, "argTypes": types}}
        body = {"operation": "queryRaw", "plan": plan, "params": {}}
        yield Endpoint(port, pid, head, json.dumps(body))


@contextlib.contextmanager
def run_program(name: str, command: Sequence[str], environ: Mapping[str, str]) -> Iterator[tuple[int, int]]:
    """Run a program until the block ends. The program must print a line of JSON with the port that it listens on.

    Yields:
        The port and the process id.

    Raises:
        ServiceError: the program did not listen in time, or ended before the block did.
    """
    ports: list[int] = []

    def read_port(_: str, line: str) -> None:
        with contextlib.suppress(ValueError, AttributeError):
            entry: dict[str, Any] = json.loads(line)
            # workerd also prints the port of its inspector.
            if entry.get("port") and entry.get("event") != "listen-inspector":
                ports.append(entry["port"])

    service = Service(name, command, environ, read_port)
    service.start()
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not ports:
            service.require_alive()
            if time.monotonic() > deadline:
                raise ServiceError(f"{name} is not ready after {_START_SECONDS:.0f} s:\n{service.last_lines()}")
            time.sleep(0.002)
        yield ports[0], service.pid or 0
        service.require_alive()
    finally:
        service.stop()
