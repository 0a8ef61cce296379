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
            it = contexts.enter_context(visiting(browser, configured.stack.base_url, **options))
            it.open()
            return it

        yield open_page


def field(it: Visit, name: str) -> Locator:
    """Return the input of an extra field."""
    return it.page.locator(f'[name="extra.{name}"]')


@WITH_AND_WITHOUT_SCRIPT
def test_a_user_enters_extra_fields_and_accepts_the_terms(
    visit: Callable[..., Visit], worker: Running, *, script: bool
) -> None:
    """After errors the form keeps values and checked boxes; the second submission stores each value with its type."""
    it, email = visit(script=script), new_email()
    it.expected_statuses.add(422)
    assert not it.page.locator("#terms").is_checked()
    it.fill(name="Ada", email=email, password=PASSWORD)
    field(it, "company").fill("x")
    field(it, "seats").fill("many")
    field(it, "newsletter").check()
    assert it.submit().status == 422
    it.page.locator("#summary").wait_for()
    links = [link.get_attribute("href") for link in it.page.locator("#summary a").all()]
    assert links == ["#extra/company", "#extra/seats", "#extra/plan", "#terms"]
    assert it.page.get_by_role("link", name="Seats: Enter a whole number.").is_visible()
    for link in it.page.locator("#summary a").all():
        link.click()
        assert f"#{it.focused()}" == link.get_attribute("href")
    for each in (field(it, "plan"), it.page.locator("#terms")):
        assert each.get_attribute("aria-invalid") == "true"
        described = it.page.locator(f'[id="{each.get_attribute("aria-describedby")}"]')
        assert described.is_visible()
    assert [field(it, name).input_value() for name in ("company", "seats")] == ["x", "many"]
    assert field(it, "newsletter").is_checked()
    field(it, "company").fill("Navy & <Co>")
    field(it, "seats").fill(" 12 ")
    field(it, "plan").select_option("team")
    it.page.locator("#terms").check()
    it.fill(password=PASSWORD)
    assert it.submit().status == 202
    it.page.locator("#done").wait_for()
    expected = {"company": "Navy & <Co>", "seats": 12, "plan": "team", "newsletter": True}
    rows = worker.rows('SELECT extra, terms_version FROM "User" WHERE email = %s', email)
    assert rows == [(expected, AGREED["terms"])]


@WITH_AND_WITHOUT_SCRIPT
def test_empty_inputs_are_stored_alike_with_and_without_the_script(
    visit: Callable[..., Visit], worker: Running, *, script: bool
) -> None:
    """A blank text is not stored, and an unchecked checkbox is stored as false."""
    it, email = visit(script=script), new_email()
    it.fill(name="Ada", email=email, password=PASSWORD)
    field(it, "company").fill(" ")
    field(it, "plan").select_option("free")
    it.page.locator("#terms").check()
    assert it.submit().status == 202
    rows = worker.rows('SELECT extra FROM "User" WHERE email = %s', email)
    assert rows == [({"plan": "free", "newsletter": False},)]


@pytest.mark.parametrize("locale", LANGUAGES)
def test_the_inputs_are_accessible(visit: Callable[..., Visit], locale: str) -> None:
    """Axe finds no violation before or after errors, nor in dark colours at a width of 320 pixels.

    A label is in the page's language, errors cause no layout shift, and checkboxes and lists are at least 24 pixels
    wide and high.
    """
    it = visit(script=True, locale=locale)
    it.expected_statuses.add(422)
    properties = EXTRA_FIELDS["properties"]
    label = properties["company"]["titles"].get(locale, properties["company"]["title"])
    assert it.page.get_by_label(label).get_attribute("id") == "extra/company"
    results = violations(it.page)
    it.submit()
    it.page.locator("#summary").wait_for()
    results += violations(it.page)
    shift = it.layout_shift()
    it.page.emulate_media(color_scheme="dark")
    it.page.set_viewport_size(PHONE)
    assert results + violations(it.page) == []
    assert shift == 0
    assert it.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    for box in it.page.locator("input[type=checkbox], select").all():
        size = box.bounding_box()
        assert size is not None
        assert min(size["width"], size["height"]) >= 24
