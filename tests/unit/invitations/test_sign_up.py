"""Sign-ups by invitation, through the application: JSON, the form, the page and the log."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from signup.fields.models import STORED
from signup.guards.rate_limits import Limits
from signup.i18n.catalog import LANGUAGES, texts
from signup.invitations.tokens import Invitation, InvitationTokens
from signup.registration.user_store import SIGN_UP_WITH_DETAILS
from tests.fakes import ADA, INVITING, VERIFYING, Client, Warnings, change, user_row

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}
HTML = {"accept": "text/html"}
FORM = {"content-type": "application/x-www-form-urlencoded", **HTML}
TOKENS = InvitationTokens([each.key for each in INVITING.invitation_keys])
FOREIGN = InvitationTokens([each.key for each in change(INVITING, invitation_secret=f"c:{'C' * 43}=").invitation_keys])
INVITATION = Invitation("an-id", ADA["email"], 1, int(time.time()) + 3600)
TOKEN = TOKENS.sign(INVITATION)
EXPIRED = TOKENS.sign(replace(INVITATION, expires_at=int(time.time()) - 1))
USED = [[None] * len(user_row()) + [None, None, "invitation_used"]]


def client(*outcomes: Any, **settings: object) -> Client:
    """Return a client of a Worker that requires an invitation to sign up."""
    worker = Client(*outcomes)
    worker.settings = change(INVITING, **settings)
    worker.conceal = worker.settings.conceal
    return worker


async def exceeded(_: str) -> bool:
    """Return False: the request is over the limit."""
    return False


def read_use(worker: Client) -> dict[str, Any]:
    """Return the use of the invitation that the executed statement counts."""
    ((statement, (*_, options)),) = worker.proxy.executed
    assert statement == SIGN_UP_WITH_DETAILS
    recorded: dict[str, Any] = json.loads(options or "")["invitation"]
    return recorded


async def test_the_statement_counts_the_use_of_an_invitation() -> None:
    """Letter case does not matter. A sign-up with a taken address is a use only if the response is concealed."""
    for conceal, status in (("conflict", 201), ("conceal", 202)):
        worker = client(duplicate_response=conceal)
        response, _ = await worker.request(body={**ADA, "email": "ADA@Example.com", "invitation": TOKEN})
        assert response.status == status
        expected = {"id": "an-id", "uses": 1, "expires_at": INVITATION.expires_at, "verified": False}
        assert read_use(worker) == {**expected, "count_taken": conceal == "conceal"}


@pytest.mark.parametrize(
    ("invitation", "status", "code", "reason"),
    [
        (..., 403, "invitation_required", None),
        ("", 403, "invitation_required", None),
        (None, 422, "validation_failed", None),
        (5, 422, "validation_failed", None),
        ([TOKEN], 422, "validation_failed", None),
        ({"token": TOKEN}, 422, "validation_failed", None),
        ("x" * 10_240, 403, "bad_invitation", "invalid_token"),
        (TOKEN[:-1], 403, "bad_invitation", "invalid_token"),
        (FOREIGN.sign(INVITATION), 403, "bad_invitation", "invalid_signature"),
        (EXPIRED, 403, "bad_invitation", "invitation_expired"),
        (
            TOKENS.sign(replace(INVITATION, invited="eve@example.com")),
            403,
            "bad_invitation",
            "invitation_for_another_address",
        ),
        (
            TOKENS.sign(replace(INVITATION, invited="*.example.com")),
            403,
            "bad_invitation",
            "invitation_for_another_address",
        ),
    ],
    ids=range(12),
)
async def test_without_a_valid_invitation_nothing_is_stored(
    invitation: object, status: int, code: str, reason: str | None
) -> None:
    """The reason is only in the log, which has no part of the token. Concealment does not change the response."""
    body = ADA if invitation is ... else {**ADA, "invitation": invitation}
    for conceal in ("conflict", "conceal"):
        worker = client(duplicate_response=conceal)
        response, problem = await worker.request(body=body)
        assert (response.status, problem["code"], worker.proxy.executed) == (status, code, [])
        assert (worker.log()[0].get("reason"), worker.log()[0]["code"]) == (reason, code)
        if status == 422:
            assert [(each["pointer"], each["code"]) for each in problem["errors"]] == [("/invitation", "not_a_string")]
        assert problem["detail"] == texts("en").details[code]
        assert TOKEN[:20] not in "".join(worker.lines)


async def test_a_used_invitation_is_refused_by_the_statement() -> None:
    """The response is the same with and without concealment."""
    for conceal in ("conflict", "conceal"):
        worker = client(USED, duplicate_response=conceal)
        response, problem = await worker.request(body={**ADA, "invitation": TOKEN})
        assert (response.status, problem["code"]) == (403, "bad_invitation")
        assert worker.log()[0]["reason"] == "invitation_used"


async def test_other_checks_come_first() -> None:
    """The rate limit per client and the fields are checked before the invitation."""
    worker = client()
    response, problem = await worker.request(body={**ADA, "name": "", "role": "x", "invitation": EXPIRED})
    assert (response.status, [each["pointer"] for each in problem["errors"]]) == (422, ["/name", "/role"])
    worker.limits = Limits(lambda _: exceeded, Warnings())
    assert (await worker.request(body=ADA))[0].status == 429


async def test_a_repeated_sign_up_is_replayed() -> None:
    """The invitation is not compared, so a retry may have another one."""
    worker = client()
    headers = {**JSON, "idempotency-key": "k"}
    await worker.request(body={**ADA, "invitation": TOKEN}, headers=headers)
    worker.proxy.outcomes = [[user_row(worker.proxy.executed[0][1][len(STORED)])]]
    another_token = TOKENS.sign(replace(INVITATION, id="another", invited="example.com"))
    response, _ = await worker.request(body={**ADA, "invitation": another_token}, headers=headers)
    assert (response.status, response.headers["idempotency-replayed"]) == (201, "true")


async def test_the_field_is_unknown_where_no_invitation_is_needed() -> None:
    """The response is 422, as for any unknown field. The page ignores an invitation in its URL."""
    worker = Client()
    response, problem = await worker.request(body={**ADA, "invitation": TOKEN})
    assert (response.status, problem["errors"][0]["code"]) == (422, "unknown_field")
    worker.query = f"?invitation={EXPIRED}"
    response, html = await worker.request("GET", headers=HTML)
    assert (response.status, "<form" in html, 'name="invitation"' in html) == (200, True, False)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_link_opens_a_form_for_the_invited_address(language: str) -> None:
    """The address is filled in and read-only; for a domain, it is empty and editable. A hidden field has the token."""
    page_texts, headers = texts(language).page, {**HTML, "accept-language": language}
    domain = TOKENS.sign(replace(INVITATION, invited="*.example.com"))
    for token, hint, locked in (
        (TOKEN, page_texts.invited_address, True),
        (domain, page_texts.invited_domain.format(domain="*.example.com"), False),
    ):
        worker = client()
        worker.query = f"?utm_source=mail&invitation={token}"
        response, html = await worker.request("GET", headers=headers)
        assert response.status == 200
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["referrer-policy"] == "same-origin"
        assert f'<p id="email-hint">{hint}</p>' in html
        assert f'<input type="hidden" name="invitation" value="{token}" autocomplete="off">' in html
        field = html[html.index('<input id="email"') :].partition(">")[0]
        assert (' value="ada@example.com"' in field, " readonly" in field) == (locked, locked)
        assert 'aria-describedby="email-hint"' in field
        assert "readonly" not in html.replace(field, "")
        assert token[:40] not in "".join(worker.lines)
        assert worker.log()[0]["route"] == "GET /"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_without_a_valid_invitation_the_page_has_a_notice(language: str) -> None:
    """The notice states what to do. The status is 200 without a token, and 403 with an invalid one."""
    catalog, headers = texts(language), {**HTML, "accept-language": language}
    for query, code, reason in (
        ("", "invitation_required", None),
        ("?invitation=", "bad_invitation", "invalid_token"),
        (f"?invitation={TOKEN}&invitation={TOKEN}", "bad_invitation", "invalid_token"),
        (f"?invitation={'x' * 10_240}", "bad_invitation", "invalid_token"),
        (f"?invitation={EXPIRED}", "bad_invitation", "invitation_expired"),
    ):
        worker = client()
        worker.query = query
        response, html = await worker.request("GET", headers=headers)
        assert response.status == (200 if reason is None else 403)
        assert (catalog.titles[code] in html, catalog.details[code] in html, "<form" in html) == (True, True, False)
        assert worker.log()[0].get("reason") == reason
        assert "script" not in html
    _, html = await Client().request("GET", headers=headers)
    assert "<form" in html


def posted(**fields: str) -> bytes:
    """Return the body of a posted form with Ada's data."""
    return urlencode({"idempotency-key": "key-1", **ADA, **fields}).encode()


@pytest.mark.parametrize(
    ("outcomes", "fields", "status", "expected_text"),
    [
        ([], {}, 201, lambda catalog: catalog.page.created),
        ([], {"name": ""}, 422, lambda catalog: catalog.page.errors),
        ([USED], {}, 403, lambda catalog: catalog.details["bad_invitation"]),
        ([], {"email": "eve@example.com"}, 403, lambda catalog: catalog.details["bad_invitation"]),
        ([], {"invitation": EXPIRED}, 403, lambda catalog: catalog.details["bad_invitation"]),
        # The fields cannot be corrected without a form.
        ([], {"invitation": EXPIRED, "name": ""}, 422, lambda catalog: catalog.details["bad_invitation"]),
        ([], {"invitation": ""}, 403, lambda catalog: catalog.details["invitation_required"]),
    ],
    ids=range(7),
)
async def test_a_form_keeps_its_invitation(
    outcomes: list[Any], fields: dict[str, str], status: int, expected_text: Callable[[Any], str]
) -> None:
    """After an error, the page has the invitation and its address, or states that a new invitation is needed."""
    worker = client(*outcomes)
    response, html = await worker.request(body=posted(**{"invitation": TOKEN, **fields}), headers=FORM)
    assert (response.status, expected_text(texts("en")) in html) == (status, True)
    is_valid = "invitation" not in fields
    assert (f'name="invitation" value="{TOKEN}"' in html) == (is_valid and status != 201)
    assert ('value="ada@example.com"' in html) == (is_valid and status != 201)


async def test_beyond_the_rate_limit_the_page_has_an_error_and_no_form() -> None:
    """The page shows the error and the time to wait."""
    worker = client()
    worker.limits = Limits(lambda _: exceeded, Warnings())
    response, html = await worker.request(body=posted(invitation=TOKEN), headers=FORM)
    assert (response.status, "<form" in html) == (429, False)
    for text in (texts("en").details["rate_limited"], "Please wait 60 s, then try again."):
        assert text in html


async def test_pages_mention_no_email_if_the_invitation_verifies_the_address() -> None:
    """Neither the page that the link opens nor the page after the form mentions an e-mail."""
    settings = {**VERIFYING.model_dump(exclude_unset=True), "sign_up": "invite"}
    settings["invitation_secret"] = INVITING.invitation_secret
    for verifies in (False, True):
        token = TOKENS.sign(replace(INVITATION, verifies=verifies))
        worker = client(**settings)
        worker.query = f"?invitation={token}"
        _, form_page = await worker.request("GET", headers=HTML)
        _, success_page = await worker.request(body=posted(invitation=token), headers=FORM)
        for html in (form_page, success_page):
            assert (texts("en").page.check_inbox in html) is not verifies
        assert read_use(worker)["verified"] is verifies
