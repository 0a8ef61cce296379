"""The composition root: settings reach the components that use them."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretBytes

from devstack.kdf import cpython_kdf
from signup.composition import Platform, build
from signup.fields.models import STORED
from signup.guards.rate_limits import EMAIL_LIMIT
from signup.hashing.named_keys import parse_keys
from signup.hashing.profiles import CHEAP, PROFILES, Profile
from signup.invitations.tokens import Invitation, InvitationTokens
from signup.settings import Settings
from signup.verification.tokens import Claims, TokenSigner
from signup.web.messages import Request
from tests.fakes import ADA, user_row

pytestmark = pytest.mark.anyio
# A time before the end of hosted Accelerate.
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC).timestamp()


async def empty_body(*_: object) -> bytes:
    """Return an empty body."""
    return b""


async def unlimited(_: str) -> bool:
    """Return True: the request is within the limit."""
    return True


def platform(respond: Callable[[httpx.Request], httpx.Response], log: Callable[[str], None]) -> Platform:
    """Return a platform whose HTTP requests get their responses from `respond`."""
    return Platform(lambda: httpx.MockTransport(respond), cpython_kdf, lambda _: unlimited, log)


async def collect_log(database_url: str) -> list[dict[str, object]]:
    """Return the log of an isolate after three requests, two of which use the database."""
    lines: list[str] = []

    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"rows": [], "data": {"types": [], "rows": []}})

    bindings = {"DATABASE_URL": database_url}
    app = build(bindings.get, platform(respond, lines.append), CHEAP, lambda: NOVEMBER)
    for path in ("/health", "/ready", "/ready"):
        assert (await app(Request("GET", path, {}, empty_body))).status == 200
    return [json.loads(line) for line in lines]


async def test_a_retired_data_proxy_is_logged_once_per_isolate() -> None:
    """The first request that uses hosted Accelerate logs the warning."""
    log = await collect_log("prisma://accelerate.prisma-data.net/?api_key=canary")
    assert [entry["event"] for entry in log] == ["request", "data_proxy_retired", "request", "request"]
    assert "2026-12-01" in str(log[1]["reason"])
    assert "canary" not in json.dumps(log)


async def test_sqlproxy_causes_no_warning() -> None:
    """The log contains only requests."""
    log = await collect_log("sql+https://token@proxy.example.com/")
    assert {entry["event"] for entry in log} == {"request"}


async def test_lengths_and_timeouts_are_applied() -> None:
    """PASSWORD_MIN_LENGTH, PROXY_TIMEOUT (one attempt) and REQUEST_DEADLINE (all attempts) are applied."""
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
    # With a longer deadline, the Worker would retry after three seconds.
    assert (await app(request)).status == 503
    assert timeouts == [dict.fromkeys(("connect", "read", "write", "pool"), 1.5)]


async def test_the_deadline_limits_a_readiness_check() -> None:
    """REQUEST_DEADLINE limits the database request of `GET /ready`, even if PROXY_TIMEOUT is longer."""
    timeouts: list[float] = []

    def respond(request: httpx.Request) -> httpx.Response:
        timeouts.append(request.extensions["timeout"]["read"])
        return httpx.Response(200, json={"rows": []})

    bindings = {"DATABASE_URL": "sql+http://token@127.0.0.1:1/", "PROXY_TIMEOUT": 30, "REQUEST_DEADLINE": 2}
    app = build(bindings.get, platform(respond, lambda _: None), CHEAP)
    assert (await app(Request("GET", "/ready", {}, empty_body))).status == 200
    assert timeouts == [1.75]


async def test_a_password_built_from_the_service_name_is_rejected() -> None:
    """The password policy compares passwords with SERVICE_NAME."""
    body = json.dumps({**ADA, "password": "Acme Acme Acme 2024"}).encode()

    async def read(*_: object) -> bytes:
        return body

    bindings = {"DATABASE_URL": "sql+http://token@127.0.0.1:1/", "SERVICE_NAME": "Acme"}
    app = build(bindings.get, platform(lambda _: httpx.Response(500), print), CHEAP)
    response = await app(Request("POST", "/", {"content-type": "application/json"}, read))
    assert (response.status, json.loads(response.body)["errors"][0]["code"]) == (422, "built_from_service_name")


def created(request: httpx.Request) -> httpx.Response:
    """Respond to a sign-up as sqlproxy does, with the key and the new user."""
    key = json.loads(request.content)["params"][-1]
    return httpx.Response(200, json={"rows": [[key, *user_row()]]})


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({}, set()),
        ({"EMAIL_DOMAINS_ALLOWED": "Example.com"}, {"www.example.com", "xn--bcher-kva.example", "mailinator.com"}),
        ({"EMAIL_DOMAINS_BLOCKED": "*.example.com, b\u00fccher.example"}, {"www.example.com", "xn--bcher-kva.example"}),
        ({"DISPOSABLE_EMAIL": "refuse"}, {"mailinator.com"}),
        ({"DISPOSABLE_EMAIL": "refuse", "EMAIL_DOMAINS_BLOCKED": "example.com"}, {"mailinator.com", "example.com"}),
    ],
    ids=["default", "allowed", "blocked", "disposable", "both"],
)
async def test_the_domain_settings_are_applied(settings: dict[str, str], refused: set[str]) -> None:
    """The error for a refused domain is listed with those of other fields. Letter case and IDNA form do not matter."""
    app = build(
        {"DATABASE_URL": "sql+http://token@127.0.0.1:1/", **settings}.get,
        platform(created, lambda _: None),
        CHEAP,
    )
    refused_domains = set()
    for typed, domain in (
        ("example.com", "example.com"),
        ("WWW.Example.COM", "www.example.com"),
        ("B\u00dcCHER.example", "xn--bcher-kva.example"),
        ("Mailinator.com", "mailinator.com"),
    ):
        body = json.dumps({**ADA, "email": f"ada@{typed}", "name": ""}).encode()

        async def read(*_: object, body: bytes = body) -> bytes:
            return body

        response = await app(Request("POST", "/", {"content-type": "application/json"}, read))
        errors = {each["pointer"]: each["code"] for each in json.loads(response.body)["errors"]}
        assert errors["/name"] == "too_short"
        if "/email" in errors:
            assert errors["/email"] == "email_domain_refused"
            refused_domains.add(domain)
    assert refused_domains == refused


async def test_a_wrong_list_of_domains_is_named_in_the_log() -> None:
    """A request that needs the settings gets 500 `misconfigured`; health checks succeed."""
    lines: list[str] = []
    bindings = {"DATABASE_URL": "sql+http://token@127.0.0.1:1/", "EMAIL_DOMAINS_BLOCKED": "canary_.example"}
    app = build(bindings.get, platform(created, lines.append), CHEAP)
    assert (await app(Request("GET", "/health", {}, empty_body))).status == 200
    response = await app(Request("POST", "/", {"content-type": "application/json"}, empty_body))
    assert (response.status, json.loads(response.body)["code"]) == (500, "misconfigured")
    assert json.loads(lines[-1])["reason"].startswith("EMAIL_DOMAINS_BLOCKED must list domains")
    assert "canary" not in "".join(lines)


async def test_terms_and_extra_fields_are_part_of_a_sign_up() -> None:
    """The statement has the terms, the extra fields and the webhook option; the response has the extra fields."""
    sent_options: list[dict[str, Any]] = []

    def respond(request: httpx.Request) -> httpx.Response:
        *stored, _, key, options = json.loads(request.content)["params"]
        sent_options.append(json.loads(options))
        row = [
            key,
            "1",
            *stored,
            "2026-11-22T20:00:00.000Z",
            None,
            "false",
            json.dumps(sent_options[-1]["extra"]),
            None,
        ]
        return httpx.Response(200, json={"rows": [row]})

    async def read(*_: object) -> bytes:
        return json.dumps({**ADA, "terms": "2", "extra": {"seats": 3}}).encode()

    bindings = {
        "DATABASE_URL": "sql+http://token@127.0.0.1:1/",
        "WEBHOOK_URL": "http://127.0.0.1:2/",
        "WEBHOOK_SECRET": f"whsec_{'A' * 32}",
        "EMAIL_VERIFICATION": "on",
        "MAIL_URL": "log:",
        "MAIL_FROM": "accounts@example.com",
        "PUBLIC_URL": "https://signup.example.com",
        "VERIFICATION_SECRET": f"a:{'A' * 43}=",
        "TERMS_VERSION": "2",
        "TERMS_URL": "https://www.example.com/terms",
        "EXTRA_FIELDS": '{"properties": {"seats": {"type": "integer", "title": "Seats"}}}',
    }
    app = build(bindings.get, platform(respond, lambda _: None), CHEAP)
    response = await app(Request("POST", "/", {"content-type": "application/json"}, read))
    user = json.loads(response.body)["user"]
    assert (response.status, user["email_verified"], user["extra"]) == (201, False, {"seats": 3})
    assert (sent_options[0]["terms"], sent_options[0]["extra"], sent_options[0]["webhook"]) == ("2", {"seats": 3}, True)


async def test_invitations_are_checked_before_the_limit_per_address_and_the_hash() -> None:
    """Any key of INVITATION_SECRET may have signed an invitation.

    With an invalid invitation, the address is not counted, and the password is not hashed.
    """
    counted: list[str] = []
    hashed: list[bytes] = []
    sent_options: list[dict[str, Any]] = []

    async def count(key: str) -> bool:
        counted.append(key)
        return True

    async def kdf(password: bytes, salt: bytes, profile: Profile, _: float = 0, /) -> bytes:
        hashed.append(password)
        return await cpython_kdf(password, salt, profile)

    def respond(request: httpx.Request) -> httpx.Response:
        *_, key, options = json.loads(request.content)["params"]
        sent_options.append(json.loads(options))
        return httpx.Response(200, json={"rows": [[key, *user_row(), "false", None, None]]})

    bindings = {
        "DATABASE_URL": "sql+http://token@127.0.0.1:1/",
        "SIGN_UP": "invite",
        "INVITATION_SECRET": f"b:{'B' * 43}=,a:{'A' * 43}=",
        "DUPLICATE_RESPONSE": "conceal",
    }
    counting = Platform(
        lambda: httpx.MockTransport(respond), kdf, lambda name: count if name == EMAIL_LIMIT else None, lambda _: None
    )
    app = build(bindings.get, counting, CHEAP)
    keys = Settings.from_bindings(bindings.get).invitation_keys
    invitation = Invitation("an-id", "ada@example.com", 1, int(time.time()) + 60)
    for number, token in enumerate(["", "x", *(InvitationTokens([each.key]).sign(invitation) for each in keys)]):
        body = json.dumps({**ADA, "invitation": token}).encode()

        async def read(*_: object, body: bytes = body) -> bytes:
            return body

        response = await app(Request("POST", "/", {"content-type": "application/json"}, read))
        accepted = max(number - 1, 0)
        assert (response.status, len(counted), len(hashed)) == (202 if accepted else 403, accepted, accepted)
    assert [options["invitation"]["count_taken"] for options in sent_options] == [True, True]


@pytest.mark.parametrize(
    ("mode", "expected", "status"), [("off", [], 201), ("on", [0.7], 201), ("strict", [0.7], 503), ("", [], 201)]
)
async def test_the_breach_check_settings_are_applied(mode: str, expected: list[float], status: int) -> None:
    """`off` sends no request; `on` and `strict` use BREACH_API_URL and BREACH_TIMEOUT and differ in an outage."""
    timeouts: list[float] = []
    lines: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            assert str(request.url).startswith("http://127.0.0.1:2/lists/")
            timeouts.append(request.extensions["timeout"]["read"])
            return httpx.Response(500)
        return created(request)

    async def read(*_: object) -> bytes:
        return json.dumps(ADA).encode()

    bindings = {
        "DATABASE_URL": "sql+http://token@127.0.0.1:1/",
        "BREACH_CHECK": mode,
        "BREACH_TIMEOUT": "0.7",
        "BREACH_API_URL": "http://127.0.0.1:2/lists",
    }
    app = build(bindings.get, platform(respond, lines.append), CHEAP)
    response = await app(Request("POST", "/", {"content-type": "application/json"}, read))
    assert (response.status, timeouts) == (status, expected)
    assert sum("breach_check_skipped" in line for line in lines) == (1 if mode == "on" else 0)


async def test_the_hashing_settings_are_applied() -> None:
    """HASH_PROFILE and PASSWORD_PEPPER affect the stored hash; if HASH_QUEUE is full, the response is `too_busy`."""
    sent_hashes: list[str] = []
    hashing = asyncio.Event()

    def respond(request: httpx.Request) -> httpx.Response:
        sent_hashes.append(json.loads(request.content)["params"][-2])
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
    app = build(bindings.get, replace(platform(respond, lambda _: None), kdf=slow))
    request = Request("POST", "/", {"content-type": "application/json"}, read)
    waiting = [asyncio.create_task(app(request)) for _ in range(2)]
    await asyncio.sleep(0)
    refused = await app(request)
    assert (refused.status, json.loads(refused.body)["code"]) == (503, "too_busy")
    hashing.set()
    assert [response.status for response in await asyncio.gather(*waiting)] == [201, 201]
    assert {stored.split("$")[3] for stored in sent_hashes} == {"m=12288,t=3,p=1,keyid=2026a"}


async def test_the_page_settings_are_applied() -> None:
    """Pages differ only in the idempotency key, and a corrected setting is applied at once."""
    bindings = {
        "DATABASE_URL": "sql+http://token@127.0.0.1:1/",
        "SERVICE_NAME": "Tea & Cake",
        "PAGE_COLOUR": "canary",
        "NEXT_URL": "https://www.example.com/welcome",
        "PASSWORD_MIN_LENGTH": "11",
    }
    app = build(bindings.get, platform(lambda _: httpx.Response(500), lambda _: None), CHEAP)
    request = Request("GET", "/", {"accept": "text/html"}, empty_body)
    error_page = (await app(request)).body.decode()
    assert "Tea" not in error_page
    bindings["PAGE_COLOUR"] = "#ffcc00"
    first, second = [(await app(request)).body.decode() for _ in range(2)]
    for expected in (
        "Tea &amp; Cake",
        "--accent:#ffcc00",
        "Use at least 11 characters",
        'data-next="https://www.example.com/welcome"',
    ):
        assert expected in first
    key = re.compile(r'(?<=name="idempotency-key" value=")[^"]+')
    assert key.findall(first) != key.findall(second)
    assert key.sub("", first) == key.sub("", second)


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, None),
        (
            {"WEBHOOK_URL": "https://www.example.com/", "DUPLICATE_RESPONSE": "conceal"},
            {"verify": False, "webhook": True, "conceal": False},
        ),
        (
            {"MAIL_URL": "log:", "DUPLICATE_RESPONSE": "conceal"},
            {"verify": False, "webhook": False, "conceal": True},
        ),
        (
            {
                "MAIL_URL": "log:",
                "EMAIL_VERIFICATION": "on",
                "PUBLIC_URL": "https://a.example",
                "VERIFICATION_TTL": "600",
            },
            {"verify": True, "webhook": False, "conceal": False, "ttl": 600},
        ),
    ],
)
async def test_the_message_settings_are_applied(settings: dict[str, str], options: dict[str, object] | None) -> None:
    """A sign-up records the configured messages. If none are configured, it runs the shorter statement."""
    sent_parameters: list[list[str]] = []

    def respond(request: httpx.Request) -> httpx.Response:
        parameters = json.loads(request.content)["params"]
        sent_parameters.append(parameters)
        verified = [] if options is None else ["false"]
        return httpx.Response(200, json={"rows": [[parameters[len(STORED) + 1], *user_row(), *verified]]})

    async def read(*_: object) -> bytes:
        return json.dumps(ADA).encode()

    bindings = {
        "DATABASE_URL": "sql+http://token@127.0.0.1:1/",
        "MAIL_FROM": "accounts@example.com",
        "WEBHOOK_SECRET": f"whsec_{'A' * 32}",
        "VERIFICATION_SECRET": "2026a:" + "A" * 43 + "=",
        **settings,
    }
    app = build(bindings.get, platform(respond, lambda _: None), CHEAP)
    headers = {"content-type": "application/json", "accept-language": "de-AT"}
    response = await app(Request("POST", "/", headers, read))
    assert response.status in (201, 202)
    # A delivery after a concealing response would delay the next response.
    assert (response.afterwards is None) == (options is None or "DUPLICATE_RESPONSE" in settings)
    ((*_, last),) = sent_parameters
    # The parameters of the shorter statement are the fields, the password and the key.
    short_length = len(STORED) + 2
    assert (
        len(sent_parameters[0]) == short_length
        if options is None
        else json.loads(last).items() >= {**options, "language": "de"}.items()
    )


SECRET = "2026b:" + "B" * 43 + "=,2026a:" + "A" * 43 + "="


async def deliver_email(created_at: str, **settings: str) -> tuple[list[list[str]], list[dict[str, Any]]]:
    """Run a scheduled delivery of one `verify_email` message; return the statements' parameters and the log."""
    sent_parameters: list[list[str]] = []
    payload = json.dumps({"name": "Ada", "email": "ada@example.com", "language": "en"})

    def respond(request: httpx.Request) -> httpx.Response:
        statement = json.loads(request.content)
        sent_parameters.append(statement["params"])
        row = ["1", "0c1f7d3e-6c5e-4f0a-9a57-0d2f1c7b9e41", "verify_email", "7", payload, "1", created_at]
        return httpx.Response(200, json={"rows": [row if "claim_messages" in statement["query"] else ["true"]]})

    mail = {"MAIL_URL": "log:", "MAIL_FROM": "accounts@example.com"}
    bindings = {"DATABASE_URL": "sql+http://token@127.0.0.1:1/", **mail, **settings}
    lines: list[str] = []
    await build(bindings.get, platform(respond, lines.append), CHEAP).deliver()
    return sent_parameters, [json.loads(line) for line in lines]


async def test_the_link_in_an_email_follows_the_settings() -> None:
    """The link begins with PUBLIC_URL, is signed with the first key, and expires after VERIFICATION_TTL."""
    created_at = datetime.now(UTC).replace(microsecond=0)
    settings = {"PUBLIC_URL": "https://signup.example.com", "VERIFICATION_SECRET": SECRET, "VERIFICATION_TTL": "600"}
    sent_parameters, lines = await deliver_email(created_at.isoformat(), EMAIL_VERIFICATION="on", **settings)
    assert [entry.get("result") for entry in lines if entry["event"] == "delivery"] == ["delivered"]
    (text,) = [entry["text"] for entry in lines if entry["event"] == "mail"]
    (token,) = re.findall(r"^https://signup\.example\.com/verify\?token=(\S+)$", text, re.MULTILINE)
    assert len(re.findall("https?:", text)) == 1
    claims = TokenSigner([parse_keys("VERIFICATION_SECRET", SECRET)[0].key]).verify(token)
    assert (claims.user_id, claims.email) == ("7", "ada@example.com")
    assert claims.expires_at == created_at.timestamp() + 600
    assert ["1", "1"] in sent_parameters


async def test_links_that_any_configured_key_signed_are_accepted() -> None:
    """The second key may have signed earlier e-mails. A link that an unknown key signed is refused."""
    bindings = {
        "DATABASE_URL": "sql+http://token@127.0.0.1:1/",
        "EMAIL_VERIFICATION": "on",
        "MAIL_URL": "log:",
        "MAIL_FROM": "accounts@example.com",
        "PUBLIC_URL": "https://signup.example.com",
        "VERIFICATION_SECRET": SECRET,
    }
    app = build(bindings.get, platform(lambda _: httpx.Response(500), lambda _: None), CHEAP)
    keys = [each.key for each in parse_keys("VERIFICATION_SECRET", SECRET)]
    claims = Claims("7", "ada@example.com", int(time.time()) + 60, "Ada", 0)
    for key, status in ((keys[0], 200), (keys[1], 200), (SecretBytes(b"f" * 32), 400)):
        query = f"?token={TokenSigner([key]).sign(claims)}"
        response = await app(Request("GET", "/verify", {"accept": "text/html"}, empty_body, query=query))
        assert response.status == status


@pytest.mark.parametrize("settings", [{}, {"VERIFICATION_SECRET": SECRET, "PUBLIC_URL": "https://a.example/"}])
async def test_no_link_is_sent_after_verification_was_turned_off(settings: dict[str, str]) -> None:
    """An earlier message becomes dead regardless of the other settings, because its link would lead to a 404."""
    sent_parameters, lines = await deliver_email("2026-11-29T12:00:00.000Z", **settings)
    assert ["1", "1", "verification_off", '{"permanent":true,"retry_after":null}'] in sent_parameters
    assert (lines[0]["event"], lines[0]["result"], lines[0]["error"]) == ("delivery", "dead", "verification_off")
