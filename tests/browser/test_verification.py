"""E-mail verification from the sign-up to Postgres: the page, the captured e-mail, its link, and the buttons."""

import contextlib
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser
from pydantic import SecretBytes

from signup.i18n.catalog import LANGUAGES, texts
from signup.verification.tokens import Claims, TokenSigner
from tests.browser.axe import violations
from tests.browser.conftest import Visitor
from tests.browser.visits import PHONE, Visit, visiting
from tests.e2e.configs import with_mails
from tests.e2e.conftest import PASSWORD, Running, behind_a_relay, new_email
from tests.e2e.mails import KEY, read_mails, run_schedule

SIGNER = TokenSigner([SecretBytes(KEY)])


@pytest.fixture(scope="module")
def verifying(worker: Running, state: Path) -> Iterator[Running]:
    """Run a Worker with verification, whose e-mails are captured; the tests of this file share it."""
    settings: dict[str, float | str] = {
        "EMAIL_VERIFICATION": "on",
        "MAIL_URL": "cloudflare:",
        "MAIL_FROM": "accounts@example.org",
        "PUBLIC_URL": "http://localhost:{port}",
        "VERIFICATION_SECRET": f"a:{b64encode(KEY).decode()}",
        "SERVICE_NAME": "Tea",
    }
    # Messages of earlier tests, whose provider does not exist, would be delivered first.
    worker.rows('DELETE FROM "Outbox" RETURNING id')
    with behind_a_relay(worker, state / "verifying", with_mails(), **settings) as (running, _):
        yield running


@pytest.fixture
def visit_verifying(browser: Browser, verifying: Running) -> Iterator[Visitor]:
    """Return a function that opens a path of the Worker `verifying`, as `visit` does."""
    with contextlib.ExitStack() as contexts:

        def open_page(path: str | None = "/", **options: Any) -> Visit:
            tab = contexts.enter_context(visiting(browser, verifying.stack.base_url, **options))
            if path is not None:
                tab.open(path)
            return tab

        yield open_page


@pytest.fixture
def account(verifying: Running, worker: Running) -> "Account":
    """Create an unverified account."""
    return Account(verifying, worker)


class Account:
    """An account that was created through the API."""

    def __init__(self, verifying: Running, worker: Running) -> None:
        self.email = new_email()
        self.verifying, self.worker = verifying, worker
        response = verifying.sign_up(email=self.email)
        assert response.json()["user"]["email_verified"] is False
        self.claims = Claims(str(response.json()["user"]["id"]), self.email, int(time.time()) + 60, "Ada", 0)

    def rows(self) -> list[tuple[Any, ...]]:
        """Return the id of each user with the address, and whether the user is verified."""
        query = 'SELECT id::text, email_verified_at IS NOT NULL FROM "User" WHERE email = %s'
        return self.worker.rows(query, self.email)

    def backdate_sign_up(self, minutes: int) -> None:
        """Move the time of the sign-up into the past by a number of minutes."""
        self.worker.rows(
            'UPDATE "User" SET created_at = created_at - make_interval(mins => %s) WHERE email = %s RETURNING 1',
            minutes,
            self.email,
        )

    def post(self, path: str, **fields: str) -> httpx.Response:
        """Post JSON to the API."""
        return self.verifying.client.post(path, json=fields)


@pytest.mark.parametrize(
    ("language", "script"), [("en", True), ("de", False)], ids=["English", "German, without JavaScript"]
)
def test_a_user_verifies_the_address(
    visit_verifying: Visitor, verifying: Running, worker: Running, language: str, script: bool
) -> None:
    """The flow works from the sign-up to the row in Postgres, in the browser's language; the link can be used again.

    No request has the token in its referrer, and the form is posted with the origin "null".
    """
    email, translations = new_email(), texts(language)
    tab = visit_verifying(locale=language, java_script_enabled=script)
    tab.fill(name="Ada Löwe", email=email, password=PASSWORD)
    tab.submit()
    tab.page.locator("#done").wait_for()
    assert translations.page.check_inbox in tab.page.locator("#done").inner_text()
    (mail,) = read_mails(verifying, email)
    assert mail.subject == translations.mails.verify_subject.format(service="Tea")
    assert mail.path in mail.html
    verified = 'SELECT email_verified_at IS NOT NULL FROM "User" WHERE email = %s'
    for title in (translations.page.verified_title, translations.page.already_verified_title):
        response = tab.open(mail.path)
        assert (response.status, tab.page.locator("html").get_attribute("lang")) == (200, language)
        for shown in (email, "Ada Löwe", "Tea", translations.page.verify_password):
            assert shown in tab.page.locator("main").inner_text()
        assert title == translations.page.already_verified_title or worker.rows(verified, email) == [(False,)]
        response = tab.submit()
        assert (response.status, response.request.all_headers()["origin"]) == (200, "null")
        assert tab.page.get_by_role("heading", level=1).inner_text() == title
        assert tab.focused() == "done"
        assert "token" not in tab.page.url
        assert worker.rows(verified, email) == [(True,)]
    assert not [each for each in tab.requests if "token" in each.all_headers().get("referer", "")]


def test_a_button_removes_an_account_that_the_user_did_not_create(visit_verifying: Visitor, account: Account) -> None:
    """The address is available at once, and the old link does not work for the next account with this address.

    The buttons that confirm the address and remove the account have the same size.
    """
    (mail,) = read_mails(account.verifying, account.email)
    tab = visit_verifying(mail.path, java_script_enabled=False)
    sizes = [tab.page.locator(each).bounding_box() for each in ("#submit", "#remove")]
    assert sizes[0] is not None
    assert sizes[1] is not None
    assert [sizes[0][side] for side in ("width", "height")] == [sizes[1][side] for side in ("width", "height")]
    tab.page.locator("#remove").click()
    assert tab.page.get_by_role("heading", level=1).inner_text() == texts("en").page.removed_title
    assert account.rows() == []
    assert account.verifying.sign_up(email=account.email).status_code == 201
    tab.expected_statuses.add(400)
    tab.open(mail.path)
    tab.submit()
    assert texts("en").titles["bad_verification_token"] in tab.page.locator("#summary").inner_text()
    tab.open(mail.path)
    tab.page.locator("#remove").click()
    assert tab.page.get_by_role("heading", level=1).inner_text() == texts("en").page.nothing_to_remove_title
    assert [verified for _, verified in account.rows()] == [False]


def test_an_invalid_token_verifies_no_user(visit_verifying: Visitor, account: Account) -> None:
    """For an expired token, a forged token and the token of an unknown user, the page shows an error with the focus.

    The page for an expired token has a form to request a new link.
    """
    claims = account.claims
    expired = SIGNER.sign(replace(claims, expires_at=int(time.time()) - 1))
    forged = TokenSigner([SecretBytes(b"x" * 32)]).sign(claims)
    foreign = SIGNER.sign(replace(claims, user_id=str(int(claims.user_id) + 10**6)))
    tab = visit_verifying(None)
    tab.expected_statuses |= {400, 410}
    for token, code in ((forged, "bad_verification_token"), (foreign, "bad_verification_token"), (expired, "")):
        response = tab.open(f"/verify?token={token}")
        if token == foreign:
            # Only the database knows that there is no such user.
            assert response.status == 200
            response = tab.submit()
        assert response.status == (400 if code else 410)
        assert texts("en").details[code or "verification_expired"] in tab.page.locator("#summary").inner_text()
        assert tab.focused() == "summary"
    read_mails(account.verifying, account.email)
    account.backdate_sign_up(5)
    tab.fill(email=account.email)
    assert tab.submit().status == 202
    run_schedule(account.verifying)
    (_, mail) = read_mails(account.verifying, account.email, 2)
    assert account.rows() == [(claims.user_id, False)]
    tab.open(mail.path)
    tab.submit()
    assert account.rows() == [(claims.user_id, True)]


def test_a_victim_of_pre_hijacking_is_warned_and_gets_the_address(account: Account) -> None:
    """The victim, who signs up after an attacker, gets the e-mail with the warning, and removes the account.

    The tokens of the attacker's account neither verify nor remove the account that the victim then creates.
    """
    (first,) = read_mails(account.verifying, account.email)
    account.backdate_sign_up(300)
    assert account.verifying.sign_up(email=account.email, name="Victim").status_code == 409
    assert account.post("/verify/resend", email=account.email).status_code == 202
    run_schedule(account.verifying)
    (_, mail) = read_mails(account.verifying, account.email, 2)
    mail_texts = texts("en").mails
    assert mail_texts.verify_later in mail.text
    assert mail_texts.verify_later not in first.text
    assert account.post("/verify/remove", token=mail.token).json()["result"] == "removed"
    response = account.verifying.sign_up(email=account.email, name="Victim", password=f"{PASSWORD} of the victim")
    assert response.status_code == 201
    for token in (first.token, mail.token):
        assert account.post("/verify", token=token).json()["code"] == "bad_verification_token"
        assert account.post("/verify/remove", token=token).json()["result"] == "nothing_to_remove"
    assert account.rows() == [(str(response.json()["user"]["id"]), False)]


def test_an_email_is_resent_only_to_unverified_users(account: Account) -> None:
    """The response is the same for a verified user, an unknown address and an unverified user.

    The unverified user gets another e-mail, and the verified user gets none.
    """
    (mail,) = read_mails(account.verifying, account.email)
    assert account.post("/verify", token=mail.token).json()["result"] == "verified"
    account.backdate_sign_up(60)
    other = Account(account.verifying, account.worker)
    read_mails(account.verifying, other.email)
    other.backdate_sign_up(60)
    responses = [account.post("/verify/resend", email=email) for email in (account.email, new_email(), other.email)]
    assert {(response.status_code, response.text) for response in responses} == {
        (202, '{"msg":"Verification requested"}')
    }
    assert len(read_mails(account.verifying, other.email)) == 1
    run_schedule(account.verifying)
    read_mails(account.verifying, other.email, 2)
    assert len(read_mails(account.verifying, account.email)) == 1


def open_link(tab: Visit, account: Account) -> None:
    """Open the page of a valid link."""
    tab.open(f"/verify?token={SIGNER.sign(account.claims)}")


def confirm(tab: Visit, account: Account) -> None:
    """Verify the address."""
    open_link(tab, account)
    tab.submit()


def open_expired_link(tab: Visit, account: Account) -> None:
    """Open the page of an expired link."""
    tab.expected_statuses.add(410)
    tab.open(f"/verify?token={SIGNER.sign(replace(account.claims, expires_at=1))}")


def submit_invalid_address(tab: Visit, _: Account) -> None:
    """Request a link for an invalid address."""
    tab.expected_statuses.add(422)
    tab.open("/verify")
    tab.fill(email="no-address")
    tab.submit()


@pytest.mark.parametrize("locale", LANGUAGES)
def test_the_stages_of_verification_are_accessible(visit_verifying: Visitor, account: Account, locale: str) -> None:
    """Axe finds no violation and no undecided result, and there is no horizontal scrolling at 320 pixels."""
    stages: list[Callable[[Visit, Account], None]] = [open_link, open_expired_link, submit_invalid_address, confirm]
    for stage in stages:
        tab = visit_verifying(None, locale=locale)
        stage(tab, account)
        assert tab.page.locator("html").get_attribute("lang") == locale
        results = {"light": violations(tab.page)}
        tab.page.emulate_media(color_scheme="dark")
        tab.page.set_viewport_size(PHONE)
        results["dark, phone"] = violations(tab.page)
        assert results == {"light": [], "dark, phone": []}, stage.__name__
        assert tab.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
