"""The stages of a sign-up on the page."""

from tests.browser.visits import Visit
from tests.e2e.conftest import PASSWORD, new_email


def empty(_: Visit) -> None:
    """Leave the form empty."""


def errors(it: Visit) -> None:
    """Submit invalid fields."""
    it.expected_statuses.add(422)
    it.fill(name="", email="no-address", password="short")
    it.submit()
    it.page.locator("#summary").wait_for()


def refused(it: Visit) -> None:
    """Submit a request that fails without an error in a field."""
    it.expected_statuses.add(413)
    it.fill(name="x" * 17_000, email=new_email(), password=PASSWORD)
    it.submit()
    it.page.locator("#summary").wait_for()


def done(it: Visit) -> None:
    """Sign up successfully."""
    it.fill(name="Ada", email=new_email(), password=PASSWORD)
    it.submit()
    it.page.locator("#done").wait_for()
