"""A proxy whose certificate nobody vouches for."""

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from devstack.postgres.server import free_port
from devstack.setup.bootstrap import ROOT
from devstack.stack.stack import Options
from tests.e2e.conftest import PASSWORD, Matrix, new_email, outcome, watched

DEADLINE = 10
GRACE = 5


@dataclass
class Impostor:
    """Listens with a certificate of its own making, and keeps what it is told."""

    port: int
    handshakes: int = 0
    heard: list[bytes] = field(default_factory=list)


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[Impostor]:
    """Run one."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    script = ROOT / "tests" / "contract" / "sqlproxy" / "certificate.mjs"
    subprocess.run([Path(sys.executable).with_name("node"), script, cert, key], check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    listener = socket.create_server(("127.0.0.1", 0))
    it = Impostor(listener.getsockname()[1])

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                it.handshakes += 1
                client.settimeout(5)
                with contextlib.suppress(OSError), context.wrap_socket(client, server_side=True) as tls:
                    it.heard.append(tls.recv(65536))

    thread = threading.Thread(target=serve)
    thread.start()
    yield it
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_a_certificate_error(state: Path, impostor: Impostor, matrix: Matrix) -> None:
    """503 in time, and neither the token nor the user was told to whoever is there."""
    (home := state / "deceived").mkdir()
    (home / "dev.vars").write_text(f'DATABASE_URL="sql+https://canary-token-of-this-test@127.0.0.1:{impostor.port}/"\n')
    options = Options(home, home / "dev.vars", free_port(), ready="/health", say=(lines := list[str]()).append)
    with watched(options, lines) as it:
        start = time.monotonic()
        answer = it.client.post("/", json={"name": "Ada", "email": new_email(), "password": PASSWORD})
        seconds = time.monotonic() - start
    assert (answer.status_code, answer.json()["code"]) == (503, "proxy_unavailable")
    assert seconds < DEADLINE + GRACE
    assert impostor.handshakes
    assert not any(impostor.heard)
    matrix.add("a certificate error", "", outcome(answer, seconds), "", "0")
