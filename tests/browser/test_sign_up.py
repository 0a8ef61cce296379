"""Sign-ups on the page."""

import pytest

from tests.browser.conftest import Visitor
from tests.e2e.conftest import PASSWORD, Running, new_email

WITH_AND_WITHOUT_SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without"])
# The button that shows the password is next to the label of the password field.
TAB_ORDER = ["name", "email", "show-password", "password", "submit"]


def users(worker: Running, email: str) -> list[str]:
    """Return the names of the users with this address."""
    return [row[0] for row in worker.rows('SELECT name FROM "User" WHERE email = %s', email)]


@WITH_AND_WITHOUT_SCRIPT
def test_a_user_signs_up(visit: Visitor, worker: Running, script: bool) -> None:
    """The user is stored; the confirmation has the focus and is in the title, and the form is hidden."""
    email = new_email()
    tab = visit(java_script_enabled=script)
    before = tab.page.title()
    tab.fill(name="Ada Löwe", email=email, password=PASSWORD)
    response = tab.submit()
    assert response.status == 201
    assert response.request.headers["content-type"] == (
        "application/json" if script else "application/x-www-form-urlencoded"
    )
    done = tab.page.locator("#done")
    done.wait_for()
    assert users(worker, email) == ["Ada Löwe"]
    assert tab.focused() == "done"
    assert not tab.page.locator("#sign-up").is_visible()
    title = tab.page.title()
    assert title != before
    assert title.startswith(done.get_by_role("heading").inner_text())


def test_a_reload_creates_no_second_user(visit: Visitor, worker: Running) -> None:
    """The browser sends the form again with the same key, and gets the same response."""
    email = new_email()
    tab = visit(java_script_enabled=False)
    tab.fill(name="Ada", email=email, password=PASSWORD)
    assert tab.submit().status == 201
    again = tab.page.reload()
    assert again is not None
    assert (again.status, again.request.method) == (201, "POST")
    assert tab.page.locator("#done").is_visible()
    assert len(tab.posts()) == 2
    assert users(worker, email) == ["Ada"]


@WITH_AND_WITHOUT_SCRIPT
def test_a_double_click_creates_no_second_user(visit: Visitor, worker: Running, script: bool) -> None:
    """With JavaScript there is one request. Without it there may be two, with the same key."""
    email = new_email()
    tab = visit(java_script_enabled=script)
    tab.fill(name="Ada", email=email, password=PASSWORD)
    tab.page.locator("#submit").dblclick()
    tab.page.locator("#done").wait_for()
    if script:
        assert len(tab.posts()) == 1
    assert users(worker, email) == ["Ada"]


def test_the_form_can_be_used_by_keyboard(visit: Visitor, worker: Running) -> None:
    """Tab visits the controls in visual order with a visible focus, and Enter submits the form."""
    email = new_email()
    tab = visit()
    focused_ids = []
    for _ in TAB_ORDER:
        tab.page.keyboard.press("Tab")
        focused_ids.append(tab.focused())
        style = tab.page.evaluate(
            "(({outlineStyle, outlineWidth}) => [outlineStyle, outlineWidth])(getComputedStyle(document.activeElement))"
        )
        assert style == ["solid", "3px"]
    assert focused_ids == TAB_ORDER
    tab.expected_statuses.add(422)
    with tab.page.expect_response("**/"):
        tab.page.keyboard.press("Enter")
    tab.page.locator("#summary").wait_for()
    assert tab.focused() == "summary"
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Enter")
    assert tab.focused() == "name"
    tab.page.keyboard.type("Ada")
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.type(email)
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Space")
    assert tab.page.locator("#password").get_attribute("type") == "text"
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.type(PASSWORD)
    tab.page.keyboard.press("Enter")
    tab.page.locator("#done").wait_for()
    assert users(worker, email) == ["Ada"]
