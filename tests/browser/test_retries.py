"""Retries on the page: idempotency keys, lost responses and the busy state."""

import json

import pytest
from playwright.sync_api import Route

from tests.browser.conftest import Visitor
from tests.browser.visits import Visit
from tests.e2e.conftest import PASSWORD, Running, new_email


def keys(tab: Visit) -> list[str]:
    """Return the idempotency keys of the sign-up requests."""
    return [each.headers["idempotency-key"] for each in tab.posts()]


def respond_once(tab: Visit, worker: Running, code: str, retry_after: int) -> str:
    """Respond to the next sign-up with a problem that has the Worker's texts; return its detail."""
    problem = worker.client.get(f"/problems/{code}").json()
    headers = {"content-type": "application/problem+json", "retry-after": str(retry_after)}

    def fulfill(route: Route) -> None:
        if route.request.method == "POST":
            route.fulfill(status=problem["status"], headers=headers, body=json.dumps(problem))
        else:
            route.continue_()

    tab.page.route("**/", fulfill, times=1)
    tab.expected_statuses.add(problem["status"])
    return str(problem["detail"])


@pytest.mark.parametrize(
    ("code", "seconds", "kept"),
    [("rate_limited", 60, True), ("proxy_busy", 1, True), ("proxy_timeout", 2, True), ("email_taken", 1, False)],
)
def test_only_temporary_problems_keep_the_idempotency_key(
    visit: Visitor, worker: Running, code: str, seconds: int, kept: bool
) -> None:
    """After 429, 503 and 504 the page shows when to retry, and keeps the key; after 409 it generates a new key."""
    tab = visit()
    detail = respond_once(tab, worker, code, seconds)
    tab.fill(name="Ada", email=new_email(), password=PASSWORD)
    tab.submit()
    message = tab.page.locator("#email-error" if code == "email_taken" else "#summary")
    message.wait_for()
    assert detail in message.inner_text()
    assert (str(seconds) in message.inner_text()) == kept
    assert tab.submit().status == 201
    tab.page.locator("#done").wait_for()
    first, second = keys(tab)
    assert (first == second) == kept


def test_a_retry_after_a_lost_response_creates_no_second_user(visit: Visitor, worker: Running) -> None:
    """The first request has created the user; the retry with the same key is replayed and the page reports success."""
    email = new_email()
    tab = visit()

    def lose(route: Route) -> None:
        route.fetch()
        route.abort("connectionreset")

    tab.page.route("**/", lose, times=1)
    tab.fill(name="Ada", email=email, password=PASSWORD)
    tab.page.locator("#submit").click()
    tab.page.locator("#summary").wait_for()
    assert tab.focused() == "summary"
    assert tab.problems.pop().startswith("console: Failed to load resource: net::ERR_CONNECTION_RESET")
    response = tab.submit()
    assert (response.status, response.headers["idempotency-replayed"]) == (201, "true")
    tab.page.locator("#done").wait_for()
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]


def test_editing_the_form_creates_a_new_idempotency_key(visit: Visitor, worker: Running) -> None:
    """The Worker would reject another address with the old key."""
    tab = visit()
    respond_once(tab, worker, "proxy_unavailable", 1)
    tab.fill(name="Ada", email=new_email(), password=PASSWORD)
    tab.submit()
    tab.page.locator("#summary").wait_for()
    tab.fill(email=new_email())
    assert tab.submit().status == 201
    assert len(set(keys(tab))) == 2


def test_the_form_is_busy_during_a_request(visit: Visitor) -> None:
    """The form is `aria-busy` and the button `aria-disabled` until the response arrives."""
    tab = visit()
    states = []

    def record(route: Route) -> None:
        form, button = tab.page.locator("#sign-up"), tab.page.locator("#submit")
        states.append((form.get_attribute("aria-busy"), button.get_attribute("aria-disabled")))
        route.continue_()

    tab.page.route("**/", record, times=1)
    tab.expected_statuses.add(422)
    tab.submit()
    tab.page.locator("#summary").wait_for()
    final_state = (
        tab.page.locator("#sign-up").get_attribute("aria-busy"),
        tab.page.locator("#submit").get_attribute("aria-disabled"),
    )
    assert states == [("true", "true")]
    assert final_state == (None, None)
