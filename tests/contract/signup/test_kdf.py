"""`src/kdf.mjs` in bare workerd, without Python: keys, memory and the queue of requests."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import struct
import time
from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from bench.peers import run_program
from devstack.kdf import cpython_kdf
from devstack.pyodide import bundle
from devstack.setup.bootstrap import ROOT
from signup.hashing.profiles import CHEAP, DEFAULT, PROFILES, Argon2id, Profile, Scrypt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.anyio
CONFIG = """\
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .kdf)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const kdf :Workerd.Worker = (
  modules = [
    (name = "kdf_worker.mjs", esModule = embed "kdf_worker.mjs"),
    (name = "kdf.mjs", esModule = embed "kdf.mjs"),
    (name = "argon2.wasm", wasm = embed "argon2.wasm"),
  ],
  compatibilityDate = "2026-11-17",
);
"""
MIB = 1024 * 1024
SALT = bytes(range(16))
ASCII = "correct horse battery staple"
# All but the first contain a NUL, or have more bytes in UTF-8 than code units in UTF-16.
PASSWORDS = [
    ASCII,
    "Zo\u00ebs Stra\u00dfe \u4e2d\u6587 \u0939\u093f\u0928\u094d\u0926\u0940",
    "\x00 and fourteen more \x00",
    "".join(chr(0x1F900 + number) for number in range(128)),
]
# The inputs of RFC 9106, section 5.3, without secret and associated data, which the module does not support.
RFC_9106 = (b"\1" * 32, b"\2" * 16, Argon2id(32, 3, 4))


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run workerd and return its port."""
    folder = tmp_path_factory.mktemp("kdf")
    for source in (Path(__file__).with_name("kdf_worker.mjs"), ROOT / "src" / "kdf.mjs", ROOT / "src" / "argon2.wasm"):
        shutil.copy(source, folder)
    (folder / "config.capnp").write_text(CONFIG)
    command = [str(bundle.workerd_program()), "serve", "--experimental", "--control-fd=1"]
    with run_program("workerd", [*command, str(folder / "config.capnp")], dict(os.environ)) as (worker_port, _):
        yield worker_port


@pytest.fixture
async def client(port: int) -> AsyncIterator[httpx.AsyncClient]:
    """Yield an HTTP client of the test Worker."""
    limits = httpx.Limits(max_connections=50)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/", timeout=60, limits=limits) as http_client:
        yield http_client


def request_body(
    password: bytes = ASCII.encode(), salt: bytes = SALT, profile: Profile = CHEAP, **more: object
) -> dict[str, object]:
    """Return the body of a request to the test Worker."""
    if isinstance(profile, Argon2id):
        algorithm, numbers = "argon2id", (profile.memory_kib, profile.passes, profile.lanes)
    else:
        algorithm, numbers = "scrypt", (profile.n, profile.r, profile.p)
    inputs = {"password": b64encode(password).decode(), "salt": b64encode(salt).decode(), "milliseconds": 60_000}
    return {"algorithm": algorithm, "numbers": [*numbers, profile.key_length], **inputs, **more}


async def derive(client: httpx.AsyncClient, *inputs: Any, **more: Any) -> dict[str, Any]:
    """Derive a key; return the test Worker's report."""
    response = await client.post("/", json=request_body(*inputs, **more))
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


async def abandon(port: int, seconds: float, **inputs: Any) -> None:
    """Send a request and reset the connection after `seconds`."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps(request_body(**inputs)).encode()
    writer.write(b"POST / HTTP/1.1\r\nHost: kdf\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    await writer.drain()
    await asyncio.sleep(seconds)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


async def test_argon2id_keys_equal_those_of_argon2_cffi(client: httpx.AsyncClient) -> None:
    """The inputs include each row of OWASP's table, RFC 9106's example, and passwords that a bug could truncate."""
    cases: list[tuple[bytes, bytes, Argon2id]] = [(ASCII.encode(), SALT, profile) for profile in PROFILES.values()]
    cases += [(password.encode(), SALT, CHEAP) for password in PASSWORDS]
    cases += [RFC_9106, (b"", SALT, CHEAP), (b"x", b"s" * 64, Argon2id(64, 2, 4, 64, 64))]
    for case in cases:
        report = await derive(client, *case)
        assert b64decode(report["key"]) == await cpython_kdf(*case)
    for password in PASSWORDS:
        # The two passwords differ only in the last byte.
        other = password[:-1] + chr(ord(password[-1]) ^ 1)
        assert (await derive(client, password.encode()))["key"] != (await derive(client, other.encode()))["key"]


async def test_scrypt_keys_equal_those_of_cpython(client: httpx.AsyncClient) -> None:
    """The parameters are the defaults of earlier versions, and those that need the most memory."""
    for profile in (Scrypt(14, 8, 5), Scrypt(16, 8, 2)):
        report = await derive(client, profile=profile)
        assert b64decode(report["key"]) == await cpython_kdf(ASCII.encode(), SALT, profile)
        assert report["cleared"]


async def test_password_and_key_are_cleared_and_memory_does_not_grow(client: httpx.AsyncClient) -> None:
    """After each hash, Argon2's memory contains no password or key, and has the size that the largest hash needs."""
    await derive(client, profile=DEFAULT)
    sizes = set()
    for number in range(12):
        # Passwords, salts and keys have several lengths; one hash needs less memory.
        profile = DEFAULT if number == 5 else Argon2id(47104, 1, 1, 16 + number, 64 - 3 * number)
        password = f"{number} {'x' * 1300 * number} a password".encode()
        report = await derive(client, password, bytes(profile.salt_length), profile, search=True)
        assert (report["cleared"], report["matches"]) == (True, 0)
        sizes.add(report["memory"])
    (size,) = sizes
    assert 46 * MIB < size < 46.3 * MIB


async def test_a_hash_after_an_error_is_correct(client: httpx.AsyncClient) -> None:
    """Parameters that are invalid or need too much memory cause an error, and the next hash succeeds."""
    for numbers in ([1, 1, 1, 32], [4 * MIB, 1, 1, 32], [8, 0, 1, 32]):
        assert (await client.post("/", json=request_body(numbers=numbers))).status_code == 500
    assert b64decode((await derive(client))["key"]) == await cpython_kdf(ASCII.encode(), SALT, CHEAP)


async def test_requests_hash_in_order_of_arrival(client: httpx.AsyncClient) -> None:
    """Thirty requests, sent 5 ms apart, are hashed in order. None is hashed if its deadline passes before its turn."""
    reports: list[dict[str, Any]] = []

    async def send(number: int) -> None:
        await asyncio.sleep(number / 200)
        reports.append(await derive(client, profile=DEFAULT))

    async def time_out() -> int:
        await asyncio.sleep(0.2)
        assert (await derive(client, profile=DEFAULT, milliseconds=100))["key"] is None
        return len(reports)

    _, reports_before = await asyncio.gather(asyncio.gather(*(send(number) for number in range(30))), time_out())
    assert reports_before < 25
    positions = [each["position"] for each in sorted(reports, key=lambda each: each["order"])]
    assert positions == sorted(positions)


async def test_other_requests_do_not_delay_hashes(client: httpx.AsyncClient) -> None:
    """With sixteen clients, fewer than eight other requests are served per hash, because hashes run in batches."""
    hashes, other_requests = 12, 0

    async def flood() -> None:
        nonlocal other_requests
        while True:
            assert (await client.put("/")).status_code == 200
            other_requests += 1

    floods = [asyncio.create_task(flood()) for _ in range(16)]
    await asyncio.gather(*(derive(client, profile=DEFAULT) for _ in range(hashes)))
    for each in floods:
        each.cancel()
    await asyncio.gather(*floods, return_exceptions=True)
    assert other_requests < 8 * hashes


async def test_disconnected_clients_do_not_delay_others(client: httpx.AsyncClient, port: int) -> None:
    """A request that arrives after those of thirty disconnected clients does not wait for their hashes."""
    began = time.monotonic()
    await derive(client, profile=Argon2id(19456, 20))
    single_hash = time.monotonic() - began
    slow = asyncio.create_task(derive(client, profile=Argon2id(19456, 20)))
    await asyncio.sleep(0.05)
    disconnected = [asyncio.create_task(abandon(port, 0.1, profile=Argon2id(19456, 20))) for _ in range(30)]
    await asyncio.sleep(0.05)
    behind = asyncio.create_task(derive(client, profile=DEFAULT))
    await asyncio.gather(slow, *disconnected)
    began = time.monotonic()
    assert (await behind)["key"]
    # The hashes of the disconnected clients would take thirty times as long as a single hash.
    assert time.monotonic() - began < 8 * single_hash
