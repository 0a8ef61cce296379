"""What the composition root adds to the parts that it puts together."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from devstack.kdf import cpython_kdf
from signup.composition import Platform, build
from signup.hashing.profiles import CHEAP, PROFILES, Profile
from signup.web.messages import Request
from tests.fakes import ADA, user_row

pytestmark = pytest.mark.anyio


async def nothing(*_: object) -> bytes:
    """Return the body of a request that has none."""
    return b""


async def unlimited(_: str) -> bool:
    """Let everybody in."""
    return True


def platform(answered: Callable[[httpx.Request], httpx.Response], log: Callable[[str], None]) -> Platform:
    """Return a platform whose `fetch` is answered so."""
    return Platform(lambda: httpx.MockTransport(answered), cpython_kdf, lambda _: unlimited, log)


async def log_of(database_url: str) -> list[dict[str, object]]:
    """Return the log of an isolate that answers three requests, two of them with its database."""
    lines: list[str] = []

    def answered(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"rows": [], "data": {"types": [], "rows": []}})

    bindings = {"DATABASE_URL": database_url}
    app = build(bindings.get, platform(answered, lines.append), CHEAP)
    for path in ("/health", "/ready", "/ready"):
        assert (await app(Request("GET", path, {}, nothing))).status == 200
    return [json.loads(line) for line in lines]


async def test_what_is_to_be_known_of_a_data_proxy_is_logged_once_an_isolate() -> None:
    """A URL of the hosted Accelerate is warned of by the first request that needs it, and by no other."""
    log = await log_of("prisma://accelerate.prisma-data.net/?api_key=canary")
    assert [entry["event"] for entry in log] == ["request", "warning", "request", "request"]
    assert "2026-12-01" in str(log[1]["reason"])
    assert "canary" not in json.dumps(log)


async def test_other_data_proxies_leave_the_log_to_requests() -> None:
    """There is no warning where there is nothing to warn of."""
    log = await log_of("sql+https://token@proxy.example.com/")
    assert {entry["event"] for entry in log} == {"request"}


async def test_every_setting_reaches_what_it_is_for() -> None:
    """PASSWORD_MIN_LENGTH validates, PROXY_TIMEOUT bounds an exchange, REQUEST_DEADLINE bounds them all."""
    timeouts: list[dict[str, float]] = []

    def unavailable(request: httpx.Request) -> httpx.Response:
        timeouts.append(request.extensions["timeout"])
        return httpx.Response(503, headers={"retry-after": "3"})

    async def short_password(*_: object) -> bytes:
        return json.dumps({**ADA, "password": "m7 vqzfj 2x"}).encode()

    bindings = {
        "DATABASE_URL": "sql+http://token@127.0.0.1:1/",
        "PASSWORD_MIN_LENGTH": "11",
        "PROXY_TIMEOUT": "1.5",
        "REQUEST_DEADLINE": "2",
    }
    app = build(bindings.get, platform(unavailable, lambda _: None), CHEAP)
    request = Request("POST", "/", {"content-type": "application/json"}, short_password)
    # With more time than two seconds it would ask again after three.
    assert (await app(request)).status == 503
    assert timeouts == [dict.fromkeys(("connect", "read", "write", "pool"), 1.5)]


async def test_no_exchange_outlasts_the_deadline() -> None:
    """REQUEST_DEADLINE bounds `GET /ready` too, whatever PROXY_TIMEOUT is."""
    timeouts: list[float] = []

    def answered(request: httpx.Request) -> httpx.Response:
        timeouts.append(request.extensions["timeout"]["read"])
        return httpx.Response(200, json={"rows": []})

    bindings = {"DATABASE_URL": "sql+http://token@127.0.0.1:1/", "PROXY_TIMEOUT": 30, "REQUEST_DEADLINE": 2}
    app = build(bindings.get, platform(answered, lambda _: None), CHEAP)
    assert (await app(Request("GET", "/ready", {}, nothing))).status == 200
    assert timeouts == [1.75]


async def test_the_services_name_is_no_password() -> None:
    """SERVICE_NAME is what a password must not be built from."""
    body = json.dumps({**ADA, "password": "Acme Acme Acme 2024"}).encode()

    async def read(*_: object) -> bytes:
        return body

    bindings = {"DATABASE_URL": "sql+http://token@127.0.0.1:1/", "SERVICE_NAME": "Acme"}
    app = build(bindings.get, platform(lambda _: httpx.Response(500), print), CHEAP)
    answer = await app(Request("POST", "/", {"content-type": "application/json"}, read))
    assert (answer.status, json.loads(answer.body)["errors"][0]["code"]) == (422, "built_from_service_name")


def created(request: httpx.Request) -> httpx.Response:
    """Answer a sign-up as sqlproxy does: its key, and the new user."""
    key = json.loads(request.content)["params"][-1]
    return httpx.Response(200, json={"rows": [[key, *user_row()]]})


@pytest.mark.parametrize(
    ("choice", "asked", "status"), [("off", [], 201), ("on", [0.7], 201), ("strict", [0.7], 503), ("", [], 201)]
)
async def test_the_breach_check_is_chosen_by_its_settings(choice: str, asked: list[float], status: int) -> None:
    """Off asks nobody; on and strict ask BREACH_API_URL within BREACH_TIMEOUT, and differ when it does not answer."""
    timeouts: list[float] = []
    lines: list[str] = []

    def answered(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            assert str(request.url).startswith("http://127.0.0.1:2/lists/")
            timeouts.append(request.extensions["timeout"]["read"])
            return httpx.Response(500)
        return created(request)

    async def read(*_: object) -> bytes:
        return json.dumps(ADA).encode()

    bindings = {
        "DATABASE_URL": "sql+http://token@127.0.0.1:1/",
        "BREACH_CHECK": choice,
        "BREACH_TIMEOUT": "0.7",
        "BREACH_API_URL": "http://127.0.0.1:2/lists",
    }
    app = build(bindings.get, platform(answered, lines.append), CHEAP)
    answer = await app(Request("POST", "/", {"content-type": "application/json"}, read))
    assert (answer.status, timeouts) == (status, asked)
    assert sum("accepted unchecked" in line for line in lines) == (1 if choice == "on" else 0)


async def test_hashing_is_as_the_settings_say() -> None:
    """HASH_PROFILE and PASSWORD_PEPPER are in the string that is stored; beyond HASH_QUEUE the answer is too_busy."""
    sent: list[str] = []
    hashing = asyncio.Event()

    def answered(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content)["params"][-2])
        return created(request)

    async def slow(password: bytes, salt: bytes, profile: Profile, deadline: float, /) -> bytes:
        assert deadline > time.monotonic()
        assert profile == PROFILES["m=12288,t=3,p=1"]
        await hashing.wait()
        return await cpython_kdf(password, salt, CHEAP)

    async def read(*_: object) -> bytes:
        return json.dumps(ADA).encode()

    bindings = {
        "DATABASE_URL": "sql+http://token@127.0.0.1:1/",
        "HASH_PROFILE": "m=12288,t=3,p=1",
        "HASH_QUEUE": "2",
        "PASSWORD_PEPPER": "2026a:" + "A" * 43 + "=",
    }
    app = build(bindings.get, replace(platform(answered, lambda _: None), kdf=slow))
    request = Request("POST", "/", {"content-type": "application/json"}, read)
    waiting = [asyncio.create_task(app(request)) for _ in range(2)]
    await asyncio.sleep(0)
    refused = await app(request)
    assert (refused.status, json.loads(refused.body)["code"]) == (503, "too_busy")
    hashing.set()
    assert [answer.status for answer in await asyncio.gather(*waiting)] == [201, 201]
    assert {stored.split("$")[3] for stored in sent} == {"m=12288,t=3,p=1,keyid=2026a"}


async def test_the_page_is_as_the_settings_say() -> None:
    """Name, colour, length, where it leads; the same again, but for the key. Settings that are mended count at once."""
    bindings = {
        "DATABASE_URL": "sql+http://token@127.0.0.1:1/",
        "SERVICE_NAME": "Tea & Cake",
        "PAGE_COLOUR": "canary",
        "NEXT_URL": "https://www.example.com/welcome",
        "PASSWORD_MIN_LENGTH": "11",
    }
    app = build(bindings.get, platform(lambda _: httpx.Response(500), lambda _: None), CHEAP)
    request = Request("GET", "/", {"accept": "text/html"}, nothing)
    wrong = (await app(request)).body.decode()
    assert "Tea" not in wrong
    bindings["PAGE_COLOUR"] = "#ffcc00"
    first, second = [(await app(request)).body.decode() for _ in range(2)]
    for said in (
        "Tea &amp; Cake",
        "--accent:#ffcc00",
        "Use at least 11 characters",
        'data-next="https://www.example.com/welcome"',
    ):
        assert said in first
    key = re.compile(r'(?<=name="idempotency-key" value=")[^"]+')
    assert key.findall(first) != key.findall(second)
    assert key.sub("", first) == key.sub("", second)
