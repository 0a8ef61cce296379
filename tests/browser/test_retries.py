"""What the script does when there is no answer, or none yet: trying again is safe."""

import json

import pytest
from playwright.sync_api import Route

from tests.browser.conftest import Visitor
from tests.browser.visits import Visit
from tests.e2e.conftest import PASSWORD, Running, new_email


def keys(it: Visit) -> list[str]:
    """Return the idempotency keys that were sent."""
    return [each.headers["idempotency-key"] for each in it.posts()]


def answering(it: Visit, worker: Running, code: str, retry_after: int) -> str:
    """Have the next sign-up answered with a problem, as the Worker words it; return its detail."""
    problem = worker.client.get(f"/problems/{code}").json()
    headers = {"content-type": "application/problem+json", "retry-after": str(retry_after)}

    def answer(route: Route) -> None:
        if route.request.method == "POST":
            route.fulfill(status=problem["status"], headers=headers, body=json.dumps(problem))
        else:
            route.continue_()

    it.page.route("**/", answer, times=1)
    it.refusals.add(problem["status"])
    return str(problem["detail"])


@pytest.mark.parametrize(
    ("code", "seconds", "kept"),
    [("rate_limited", 60, True), ("proxy_busy", 1, True), ("proxy_timeout", 2, True), ("email_taken", 1, False)],
)
def test_a_key_is_kept_while_it_is_not_known(
    visit: Visitor, worker: Running, code: str, seconds: int, kept: bool
) -> None:
    """After 429, 503 and 504 the same is asked again, and they say when; after a refusal it is something else."""
    it = visit()
    detail = answering(it, worker, code, seconds)
    it.fill(name="Ada", email=new_email(), password=PASSWORD)
    it.submit()
    told = it.page.locator("#email-error" if code == "email_taken" else "#summary")
    told.wait_for()
    assert detail in told.inner_text()
    assert (str(seconds) in told.inner_text()) == kept
    assert it.submit().status == 201
    it.page.locator("#done").wait_for()
    first, second = keys(it)
    assert (first == second) == kept


def test_a_lost_answer_makes_nobody_twice(visit: Visitor, worker: Running) -> None:
    """The Worker had made the user when the line broke: with the same key there is one user, and the page says so."""
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
    assert it.complaints.pop().startswith("console: Failed to load resource: net::ERR_CONNECTION_RESET")
    answer = it.submit()
    assert (answer.status, answer.headers["idempotency-replayed"]) == (201, "true")
    it.page.locator("#done").wait_for()
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]


def test_what_was_changed_has_a_new_key(visit: Visitor, worker: Running) -> None:
    """A key belongs to what was sent with it: with another address the Worker would refuse it."""
    it = visit()
    answering(it, worker, "proxy_unavailable", 1)
    it.fill(name="Ada", email=new_email(), password=PASSWORD)
    it.submit()
    it.page.locator("#summary").wait_for()
    it.fill(email=new_email())
    assert it.submit().status == 201
    assert len(set(keys(it))) == 2


def test_while_it_is_on_its_way(visit: Visitor) -> None:
    """The form says that it is busy, and that nobody has to press again; afterwards neither."""
    it = visit()
    states = []

    def look(route: Route) -> None:
        form, button = it.page.locator("#sign-up"), it.page.locator("#submit")
        states.append((form.get_attribute("aria-busy"), button.get_attribute("aria-disabled")))
        route.continue_()

    it.page.route("**/", look, times=1)
    it.refusals.add(422)
    it.submit()
    it.page.locator("#summary").wait_for()
    look_after = (
        it.page.locator("#sign-up").get_attribute("aria-busy"),
        it.page.locator("#submit").get_attribute("aria-disabled"),
    )
    assert states == [("true", "true")]
    assert look_after == (None, None)
