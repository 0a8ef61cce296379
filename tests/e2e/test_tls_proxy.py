"""sqlproxy behind a TLS terminator, as docs/deploy.md describes: DATABASE_URL begins with sql+https://."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from devstack.postgres.server import free_port
from devstack.stack.stack import Options
from tests.e2e import tls
from tests.e2e.configs import limited
from tests.e2e.conftest import Matrix, Running, outcome, run_checked

# In seconds: the default of REQUEST_DEADLINE, and extra time for busy machines.
DEADLINE = 10
GRACE = 5


@dataclass
class TlsStack:
    """A Worker that trusts the certificate of a TLS terminator, and the terminator's settings."""

    worker: Running
    terminator: tls.Terminator
    token: str


@pytest.fixture(scope="module")
def stack(worker: Running, state: Path) -> Iterator[TlsStack]:
    """Run a Worker whose DATABASE_URL begins with sql+https://; the terminator is not running yet."""
    (home := state / "behind-tls").mkdir()
    terminator = tls.terminator(home, worker.proxy.port or 0)
    (home / "dev.vars").write_text(f'DATABASE_URL="sql+https://{worker.proxy.username}@127.0.0.1:{terminator.port}/"\n')
    lines: list[str] = []
    options = Options(home, home / "dev.vars", free_port(), ready="/health", say=lines.append, config=limited())
    with pytest.MonkeyPatch.context() as patch:
        # wrangler dev makes workerd trust these certificates in addition to the public ones.
        patch.setenv("NODE_EXTRA_CA_CERTS", str(terminator.certificate))
        with run_checked(options, lines) as running:
            yield TlsStack(running, terminator, worker.proxy.username)


@pytest.mark.parametrize("run", [pytest.param(tls.relay, id="relay"), *tls.FRONTS])
def test_users_sign_up_through_tls(
    stack: TlsStack, run: Callable[[tls.Terminator], AbstractContextManager[None]]
) -> None:
    """A sign-up, a taken address and /ready work over TLS; without the terminator /ready responds 503."""
    with run(stack.terminator):
        assert stack.worker.client.get("/ready").json() == {"status": "ready"}
        response = stack.worker.sign_up()
        assert response.status_code == 201, response.text
        again = stack.worker.sign_up(email=response.json()["user"]["email"])
        assert again.status_code == 409
    assert stack.worker.client.get("/ready").status_code == 503


@pytest.mark.parametrize("run", tls.FRONTS)
def test_reverse_proxies_do_not_expose_metrics_and_health(
    stack: TlsStack, run: Callable[[tls.Terminator], AbstractContextManager[None]]
) -> None:
    """/metrics and /health respond 404 even with the token; sqlproxy's own error responses are forwarded."""
    context = ssl.create_default_context(cafile=str(stack.terminator.certificate))
    token = {"authorization": f"Bearer {stack.token}"}
    base = f"https://127.0.0.1:{stack.terminator.port}"
    with run(stack.terminator), httpx.Client(base_url=base, verify=context, headers=token) as client:
        assert client.get("/ready").status_code == 200
        assert client.get("/metrics").status_code == 404
        assert client.get("/health").status_code == 404
        assert client.post("/sql", json={"query": "SELECT 2", "params": []}).status_code == 403
        # sqlproxy rejects a body that is too large before reading all of it. Caddy may still be sending the body, and
        # then responds 502.
        assert client.post("/sql", content=b"x" * 1_100_000).status_code in ((413, 502) if run is tls.caddy else (413,))


@dataclass
class Impostor:
    """A server with an untrusted certificate, and the data that it received."""

    handshakes: int = 0
    received: list[bytes] = field(default_factory=list)


@contextlib.contextmanager
def impostor(port: int, home: Path) -> Iterator[Impostor]:
    """Run an impostor on a port of 127.0.0.1."""
    identity = tls.Terminator(home, port, 0)
    identity.certify()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    listener = socket.create_server(("127.0.0.1", port))
    server = Impostor()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server.handshakes += 1
                client.settimeout(5)
                with contextlib.suppress(OSError), context.wrap_socket(client, server_side=True) as connection:
                    server.received.append(connection.recv(65536))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_a_server_with_an_untrusted_certificate_gets_no_data(stack: TlsStack, tmp_path: Path, matrix: Matrix) -> None:
    """The Worker responds 503, and sends the server neither its token nor the user's data."""
    with impostor(stack.terminator.port, tmp_path) as server:
        start = time.monotonic()
        response = stack.worker.sign_up()
        seconds = time.monotonic() - start
    assert (response.status_code, response.json()["code"]) == (503, "proxy_unavailable")
    assert seconds < DEADLINE + GRACE
    assert server.handshakes
    assert not any(server.received)
    matrix.add("untrusted certificate", "", outcome(response, seconds), "", "0")
