"""Errors are shown at their fields, with the texts of the API's problem details."""

import pytest

from signup.i18n.catalog import LANGUAGES
from tests.browser.conftest import Visitor
from tests.browser.visits import Visit
from tests.e2e.conftest import PASSWORD, Running, new_email

WITH_AND_WITHOUT_SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without"])
LOCALES = pytest.mark.parametrize("locale", LANGUAGES)
FIELDS = ("name", "email", "password")
# Invalid values by field.
INVALID = [
    {"name": ""},
    {"email": "no-address"},
    {"password": "too short"},
    {"name": "x" * 101, "email": "a@b", "password": "signup signup signup"},
]


def details(worker: Running, fields: dict[str, str], locale: str) -> dict[str, str]:
    """Return the API's error detail for each field."""
    response = worker.client.post("/", json=fields, headers={"accept-language": locale})
    return {error["pointer"][1:]: error["detail"] for error in response.json()["errors"]}


def summary_is_above_form(tab: Visit) -> bool:
    """Return whether the summary is visible in the window and above the form."""
    summary, form = tab.page.locator("#summary").bounding_box(), tab.page.locator("#sign-up").bounding_box()
    assert summary is not None
    assert form is not None
    return 0 <= summary["y"] < summary["y"] + summary["height"] <= form["y"]


def marked_fields(tab: Visit) -> set[str]:
    """Return the fields that are marked as invalid."""
    return {name for name in FIELDS if tab.page.locator(f"#{name}").get_attribute("aria-invalid") == "true"}


@WITH_AND_WITHOUT_SCRIPT
@LOCALES
@pytest.mark.parametrize("changed", INVALID, ids=",".join)
def test_each_error_is_shown_at_its_field(
    visit: Visitor, worker: Running, script: bool, locale: str, changed: dict[str, str]
) -> None:
    """Each error is visible, part of the field's accessible description, and linked from the summary.

    The summary is above the form and has the focus. The input is kept, except the password without JavaScript.
    """
    fields = {"name": 'Ada "<b>" & \'', "email": new_email(), "password": PASSWORD} | changed
    expected = details(worker, fields, locale)
    invalid_fields = set(changed)
    assert set(expected) == invalid_fields
    tab = visit(locale=locale, java_script_enabled=script)
    tab.expected_statuses.add(422)
    tab.fill(**fields)
    assert tab.submit().status == 422
    tab.page.locator("#summary").wait_for()
    assert marked_fields(tab) == invalid_fields
    for name in FIELDS:
        error = tab.page.locator(f"#{name}-error")
        assert error.is_visible() == (name in invalid_fields)
        if name in invalid_fields:
            assert expected[name] in error.inner_text()
            assert expected[name] in tab.described_by(name)
    assert tab.focused() == "summary"
    assert summary_is_above_form(tab)
    assert tab.page.locator("#name").input_value() == fields["name"]
    assert tab.page.locator("#email").input_value() == fields["email"]
    assert tab.page.locator("#password").input_value() == (fields["password"] if script else "")
    links = tab.page.locator("#summary a").all()
    assert len(links) == len(invalid_fields)
    for link in links:
        link.click()
        assert f"#{tab.focused()}" == link.get_attribute("href")


@WITH_AND_WITHOUT_SCRIPT
def test_a_taken_address_is_shown_at_its_field(visit: Visitor, worker: Running, script: bool) -> None:
    """The 409 is shown at the field of the address; with another address the sign-up succeeds."""
    email = new_email()
    assert worker.sign_up(email=email).status_code == 201
    tab = visit(java_script_enabled=script)
    tab.expected_statuses.add(409)
    tab.fill(name="Ada", email=email.upper(), password=PASSWORD)
    assert tab.submit().status == 409
    tab.page.locator("#email-error").wait_for()
    assert marked_fields(tab) == {"email"}
    assert tab.focused() == "summary"
    assert tab.page.locator("#summary a").get_attribute("href") == "#email"
    tab.fill(email=new_email(), password=PASSWORD)
    assert tab.submit().status == 201
    tab.page.locator("#done").wait_for()


@WITH_AND_WITHOUT_SCRIPT
def test_a_problem_without_a_field_is_shown_in_the_summary(visit: Visitor, script: bool) -> None:
    """The 413 has no field errors: the summary has the focus, and no field is marked."""
    tab = visit(java_script_enabled=script)
    tab.expected_statuses.add(413)
    tab.fill(name="x" * 17_000, email=new_email(), password=PASSWORD)
    assert tab.submit().status == 413
    tab.page.locator("#summary").wait_for()
    assert tab.page.locator("#summary").inner_text()
    assert tab.focused() == "summary"
    assert marked_fields(tab) == set()
