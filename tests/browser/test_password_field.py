"""The password field: pasting, showing the password, and the count of missing characters."""

import re

import pytest

from signup.i18n.catalog import LANGUAGES
from tests.browser.conftest import Visitor

MIN_LENGTH = 15
# Passwords with their length as the Worker counts it.
PASSWORDS = [("a", 1), ("a" * 14, 14), ("a a" * 4, 12), ("\N{CRAB}" * 14, 14), ("e\N{COMBINING ACUTE ACCENT}" * 13, 13)]
PASSWORDS += [("x" + "\N{COMBINING GRAVE ACCENT}" * 20, 4), ("\u0e17\u0e35\u0e48" * 4, 12)]


def test_a_password_can_be_pasted(visit: Visitor) -> None:
    """Users of password managers may have to paste the password."""
    tab = visit()
    tab.fill(name="a password from elsewhere")
    tab.page.locator("#name").press("Control+a")
    tab.page.keyboard.press("Control+c")
    tab.page.locator("#password").press("Control+v")
    assert tab.page.locator("#password").input_value() == "a password from elsewhere"


def test_a_button_shows_and_hides_the_password(visit: Visitor) -> None:
    """The button has a pressed state, and the value is kept."""
    tab = visit()
    field, show = tab.page.locator("#password"), tab.page.locator("#show-password")
    tab.fill(password="seen")
    states = []
    for _ in range(3):
        states.append((field.get_attribute("type"), show.get_attribute("aria-pressed"), field.input_value()))
        show.click()
    assert states == [("password", "false", "seen"), ("text", "true", "seen"), ("password", "false", "seen")]


def test_the_button_is_hidden_without_javascript(visit: Visitor) -> None:
    """The hint with the minimum length is still visible."""
    tab = visit(java_script_enabled=False)
    assert not tab.page.locator("#show-password").is_visible()
    assert str(MIN_LENGTH) in tab.page.locator("#password-hint").inner_text()


@pytest.mark.parametrize("locale", LANGUAGES)
def test_the_number_of_missing_characters_is_shown(visit: Visitor, locale: str) -> None:
    """The script counts as the Worker does: code points in NFC, with at most three combining marks for each character.

    The number is in a polite live region.
    """
    tab = visit(locale=locale)
    missing = tab.page.locator("#password-missing")
    assert missing.get_attribute("aria-live") == "polite"
    for password, length in PASSWORDS:
        tab.fill(password=password)
        assert re.findall(r"\d+", missing.inner_text()) == [str(MIN_LENGTH - length)]


def test_a_sufficient_or_too_long_password_is_reported(visit: Visitor) -> None:
    """The text has no number if the password is sufficient, and the number of surplus characters if it is too long."""
    tab = visit()
    missing = tab.page.locator("#password-missing")
    tab.fill(password="\N{CRAB}" * MIN_LENGTH)
    assert missing.inner_text()
    assert not re.search(r"\d", missing.inner_text())
    tab.fill(password="\N{CRAB}" * 130)
    assert re.findall(r"\d+", missing.inner_text()) == ["2"]
