"""Terms and extra fields on the page."""

import contextlib
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Locator

from signup.i18n.catalog import LANGUAGES
from tests.browser.axe import violations
from tests.browser.visits import PHONE, Visit, visiting
from tests.e2e.conftest import AGREED, EXTRA_FIELDS, PASSWORD, Running, new_email

WITH_AND_WITHOUT_SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without"])


@pytest.fixture
def visit(browser: Browser, configured: Running) -> Iterator[Callable[..., Visit]]:
    """Return a function that opens the page of the Worker `configured`."""
    with contextlib.ExitStack() as contexts:

        def open_page(*, script: bool, locale: str = "en") -> Visit:
            options = {"java_script_enabled": script, "locale": locale}
            tab = contexts.enter_context(visiting(browser, configured.stack.base_url, **options))
            tab.open()
            return tab

        yield open_page


def field(tab: Visit, name: str) -> Locator:
    """Return the input of an extra field."""
    return tab.page.locator(f'[name="extra.{name}"]')


@WITH_AND_WITHOUT_SCRIPT
def test_a_user_enters_extra_fields_and_accepts_the_terms(
    visit: Callable[..., Visit], worker: Running, *, script: bool
) -> None:
    """After errors the form keeps values and checked boxes; the second submission stores each value with its type."""
    tab, email = visit(script=script), new_email()
    tab.expected_statuses.add(422)
    assert not tab.page.locator("#terms").is_checked()
    tab.fill(name="Ada", email=email, password=PASSWORD)
    field(tab, "company").fill("x")
    field(tab, "seats").fill("many")
    field(tab, "newsletter").check()
    assert tab.submit().status == 422
    tab.page.locator("#summary").wait_for()
    links = [link.get_attribute("href") for link in tab.page.locator("#summary a").all()]
    assert links == ["#extra/company", "#extra/seats", "#extra/plan", "#terms"]
    assert tab.page.get_by_role("link", name="Seats: Enter a whole number.").is_visible()
    for link in tab.page.locator("#summary a").all():
        link.click()
        assert f"#{tab.focused()}" == link.get_attribute("href")
    for each in (field(tab, "plan"), tab.page.locator("#terms")):
        assert each.get_attribute("aria-invalid") == "true"
        described = tab.page.locator(f'[id="{each.get_attribute("aria-describedby")}"]')
        assert described.is_visible()
    assert [field(tab, name).input_value() for name in ("company", "seats")] == ["x", "many"]
    assert field(tab, "newsletter").is_checked()
    field(tab, "company").fill("Navy & <Co>")
    field(tab, "seats").fill(" 12 ")
    field(tab, "plan").select_option("team")
    tab.page.locator("#terms").check()
    tab.fill(password=PASSWORD)
    assert tab.submit().status == 202
    tab.page.locator("#done").wait_for()
    expected = {"company": "Navy & <Co>", "seats": 12, "plan": "team", "newsletter": True}
    rows = worker.rows('SELECT extra, terms_version FROM "User" WHERE email = %s', email)
    assert rows == [(expected, AGREED["terms"])]


@WITH_AND_WITHOUT_SCRIPT
def test_empty_inputs_are_stored_alike_with_and_without_the_script(
    visit: Callable[..., Visit], worker: Running, *, script: bool
) -> None:
    """A blank text is not stored, and an unchecked checkbox is stored as false."""
    tab, email = visit(script=script), new_email()
    tab.fill(name="Ada", email=email, password=PASSWORD)
    field(tab, "company").fill(" ")
    field(tab, "plan").select_option("free")
    tab.page.locator("#terms").check()
    assert tab.submit().status == 202
    rows = worker.rows('SELECT extra FROM "User" WHERE email = %s', email)
    assert rows == [({"plan": "free", "newsletter": False},)]


@pytest.mark.parametrize("locale", LANGUAGES)
def test_the_inputs_are_accessible(visit: Callable[..., Visit], locale: str) -> None:
    """Axe finds no violation before or after errors, nor in dark colours at a width of 320 pixels.

    A label is in the page's language, errors cause no layout shift, and checkboxes and lists are at least 24 pixels
    wide and high.
    """
    tab = visit(script=True, locale=locale)
    tab.expected_statuses.add(422)
    properties = EXTRA_FIELDS["properties"]
    label = properties["company"]["titles"].get(locale, properties["company"]["title"])
    assert tab.page.get_by_label(label).get_attribute("id") == "extra/company"
    results = violations(tab.page)
    tab.submit()
    tab.page.locator("#summary").wait_for()
    results += violations(tab.page)
    shift = tab.layout_shift()
    tab.page.emulate_media(color_scheme="dark")
    tab.page.set_viewport_size(PHONE)
    assert results + violations(tab.page) == []
    assert shift == 0
    assert tab.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    for box in tab.page.locator("input[type=checkbox], select").all():
        size = box.bounding_box()
        assert size is not None
        assert min(size["width"], size["height"]) >= 24
