"""`sslmode=verify-full` without `sslrootcert` verifies the server with the system's root certificates."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from sqlproxy import connection_string

if TYPE_CHECKING:
    from collections.abc import Iterator

CERTIFICATE = Path(__file__).with_name("certificate.mjs")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """Run a server that starts TLS like Postgres, then closes the connection; yield its port and certificate."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run([Path(sys.executable).with_name("node"), CERTIFICATE, certificate, key], check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client, contextlib.suppress(OSError):
                        client.recv(8)  # SSLRequest
                        client.sendall(b"S")
                        with context.wrap_socket(client, server_side=True) as tls:
                            tls.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], certificate
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def failure(host: str, port: int) -> str:
    """Return libpq's error message. Connecting always fails, because the server closes the connection after TLS."""
    url = f"postgres://user:password@{host}:{port}/app?sslmode=verify-full&connect_timeout=5"
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(make_conninfo("", **connection_string.parse(url).parameters))
    return str(caught.value)


def test_the_root_certificates_of_the_system_are_used(
    server: tuple[int, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A certificate is accepted only if it is among the root certificates, and only for its own host."""
    port, certificate = server
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert "certificate verify failed" in failure("127.0.0.1", port)
    # OpenSSL's variable for the file of the system's root certificates.
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert "unexpected eof" in failure("127.0.0.1", port)
    assert 'does not match host name "localhost"' in failure("localhost", port)
