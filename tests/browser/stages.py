"""The stages of a sign-up, to which a visit to the page can be brought."""

from tests.browser.visits import Visit
from tests.e2e.conftest import PASSWORD, new_email


def empty(_: Visit) -> None:
    """Leave the page as it comes."""


def errors(it: Visit) -> None:
    """Send it with everything wrong."""
    it.refusals.add(422)
    it.fill(name="", email="nobody", password="short")
    it.submit()
    it.page.locator("#summary").wait_for()


def refused(it: Visit) -> None:
    """Send what is no field's fault."""
    it.refusals.add(413)
    it.fill(name="x" * 17_000, email=new_email(), password=PASSWORD)
    it.submit()
    it.page.locator("#summary").wait_for()


def done(it: Visit) -> None:
    """Sign up."""
    it.fill(name="Ada", email=new_email(), password=PASSWORD)
    it.submit()
    it.page.locator("#done").wait_for()
