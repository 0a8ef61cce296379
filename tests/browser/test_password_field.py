"""The password's field: what it lets people do, and what it tells them."""

import re

import pytest

from tests.browser.conftest import Visitor

LEAST = 15
# What is written, and its length in code points.
WRITTEN = [("a", 1), ("a" * 14, 14), ("a a" * 4, 12), ("\N{CRAB}" * 14, 14), ("e\N{COMBINING ACUTE ACCENT}" * 13, 13)]
WRITTEN += [("x" + "\N{COMBINING GRAVE ACCENT}" * 20, 4), ("\u0e17\u0e35\u0e48" * 4, 12)]


def test_it_can_be_pasted(visit: Visitor) -> None:
    """As a password manager's user does it: copied elsewhere, pasted here."""
    it = visit()
    it.fill(name="a password from elsewhere")
    it.page.locator("#name").press("Control+a")
    it.page.keyboard.press("Control+c")
    it.page.locator("#password").press("Control+v")
    assert it.page.locator("#password").input_value() == "a password from elsewhere"


def test_it_can_be_seen(visit: Visitor) -> None:
    """A button shows it and hides it again, and says which; what was typed stays."""
    it = visit()
    field, show = it.page.locator("#password"), it.page.locator("#show-password")
    it.fill(password="seen")
    seen = []
    for _ in range(3):
        seen.append((field.get_attribute("type"), show.get_attribute("aria-pressed"), field.input_value()))
        show.click()
    assert seen == [("password", "false", "seen"), ("text", "true", "seen"), ("password", "false", "seen")]


def test_without_javascript_there_is_no_button(visit: Visitor) -> None:
    """Nothing is offered that does nothing."""
    it = visit(java_script_enabled=False)
    assert not it.page.locator("#show-password").is_visible()
    assert str(LEAST) in it.page.locator("#password-hint").inner_text()


@pytest.mark.parametrize("locale", ["en", "de-DE"])
def test_it_tells_what_is_missing(visit: Visitor, locale: str) -> None:
    """Honestly, as the Worker counts: code points, composed, few marks. A screen reader hears it when it has time."""
    it = visit(locale=locale)
    missing = it.page.locator("#password-missing")
    assert missing.get_attribute("aria-live") == "polite"
    for written, length in WRITTEN:
        it.fill(password=written)
        assert re.findall(r"\d+", missing.inner_text()) == [str(LEAST - length)]


def test_it_tells_that_nothing_is_missing(visit: Visitor) -> None:
    """No number then, and too many are told as well."""
    it = visit()
    missing = it.page.locator("#password-missing")
    it.fill(password="\N{CRAB}" * LEAST)
    assert missing.inner_text()
    assert not re.search(r"\d", missing.inner_text())
    it.fill(password="\N{CRAB}" * 130)
    assert re.findall(r"\d+", missing.inner_text()) == ["2"]
