"""The stages of a sign-up on the page."""

from tests.browser.visits import Visit
from tests.e2e.conftest import PASSWORD, new_email


def leave_form_empty(_: Visit) -> None:
    """Leave the form empty, and do not submit it."""


def submit_invalid_fields(tab: Visit) -> None:
    """Submit the form with invalid fields, and wait for the summary of errors."""
    tab.expected_statuses.add(422)
    tab.fill(name="", email="no-address", password="short")
    tab.submit()
    tab.page.locator("#summary").wait_for()


def submit_oversized_request(tab: Visit) -> None:
    """Submit a request that is too large, whose error belongs to no field, and wait for the summary."""
    tab.expected_statuses.add(413)
    tab.fill(name="x" * 17_000, email=new_email(), password=PASSWORD)
    tab.submit()
    tab.page.locator("#summary").wait_for()


def sign_up(tab: Visit) -> None:
    """Sign up, and wait for the confirmation."""
    tab.fill(name="Ada", email=new_email(), password=PASSWORD)
    tab.submit()
    tab.page.locator("#done").wait_for()
