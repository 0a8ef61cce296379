"""Retries on the page: idempotency keys, lost responses and the busy state."""

import json

import pytest
from playwright.sync_api import Route

from tests.browser.conftest import Visitor
from tests.browser.visits import Visit
from tests.e2e.conftest import PASSWORD, Running, new_email


def keys(it: Visit) -> list[str]:
    """Return the idempotency keys of the sign-up requests."""
    return [each.headers["idempotency-key"] for each in it.posts()]


def respond_once(it: Visit, worker: Running, code: str, retry_after: int) -> str:
    """Respond to the next sign-up with a problem that has the Worker's texts; return its detail."""
    problem = worker.client.get(f"/problems/{code}").json()
    headers = {"content-type": "application/problem+json", "retry-after": str(retry_after)}

    def fulfill(route: Route) -> None:
        if route.request.method == "POST":
            route.fulfill(status=problem["status"], headers=headers, body=json.dumps(problem))
        else:
            route.continue_()

    it.page.route("**/", fulfill, times=1)
    it.expected_statuses.add(problem["status"])
    return str(problem["detail"])


@pytest.mark.parametrize(
    ("code", "seconds", "kept"),
    [("rate_limited", 60, True), ("proxy_busy", 1, True), ("proxy_timeout", 2, True), ("email_taken", 1, False)],
)
def test_only_temporary_problems_keep_the_idempotency_key(
    visit: Visitor, worker: Running, code: str, seconds: int, kept: bool
) -> None:
    """After 429, 503 and 504 the page shows when to retry, and keeps the key; after 409 it generates a new key."""
    it = visit()
    detail = respond_once(it, worker, code, seconds)
    it.fill(name="Ada", email=new_email(), password=PASSWORD)
    it.submit()
    message = it.page.locator("#email-error" if code == "email_taken" else "#summary")
    message.wait_for()
    assert detail in message.inner_text()
    assert (str(seconds) in message.inner_text()) == kept
    assert it.submit().status == 201
    it.page.locator("#done").wait_for()
    first, second = keys(it)
    assert (first == second) == kept


def test_a_retry_after_a_lost_response_creates_no_second_user(visit: Visitor, worker: Running) -> None:
    """The first request has created the user; the retry with the same key is replayed and the page reports success."""
    email = new_email()
    it = visit()

    def lose(route: Route) -> None:
        route.fetch()
        route.abort("connectionreset")

    it.page.route("**/", lose, times=1)
    it.fill(name="Ada", email=email, password=PASSWORD)
    it.page.locator("#submit").click()
    it.page.locator("#summary").wait_for()
    assert it.focused() == "summary"
    assert it.problems.pop().startswith("console: Failed to load resource: net::ERR_CONNECTION_RESET")
    response = it.submit()
    assert (response.status, response.headers["idempotency-replayed"]) == (201, "true")
    it.page.locator("#done").wait_for()
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]


def test_editing_the_form_creates_a_new_idempotency_key(visit: Visitor, worker: Running) -> None:
    """The Worker would reject another address with the old key."""
    it = visit()
    respond_once(it, worker, "proxy_unavailable", 1)
    it.fill(name="Ada", email=new_email(), password=PASSWORD)
    it.submit()
    it.page.locator("#summary").wait_for()
    it.fill(email=new_email())
    assert it.submit().status == 201
    assert len(set(keys(it))) == 2


def test_the_form_is_busy_during_a_request(visit: Visitor) -> None:
    """The form is `aria-busy` and the button `aria-disabled` until the response arrives."""
    it = visit()
    states = []

    def record(route: Route) -> None:
        form, button = it.page.locator("#sign-up"), it.page.locator("#submit")
        states.append((form.get_attribute("aria-busy"), button.get_attribute("aria-disabled")))
        route.continue_()

    it.page.route("**/", record, times=1)
    it.expected_statuses.add(422)
    it.submit()
    it.page.locator("#summary").wait_for()
    final_state = (
        it.page.locator("#sign-up").get_attribute("aria-busy"),
        it.page.locator("#submit").get_attribute("aria-disabled"),
    )
    assert states == [("true", "true")]
    assert final_state == (None, None)
