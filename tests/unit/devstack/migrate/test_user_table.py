"""The widths that `make migrate` requires of columns."""

from devstack.migrate.user_table import WIDTHS
from signup.fields.email_address import LONGEST_ADDRESS
from signup.fields.models import LONGEST_NAME
from signup.hashing.profiles import PROFILES


def test_columns_hold_what_the_worker_stores() -> None:
    """The longest name and address, and a hash with the longest name of a pepper; `user_table` runs without `src`."""
    assert (WIDTHS["name"], WIDTHS["email"]) == (LONGEST_NAME, LONGEST_ADDRESS)
    longest = max(len(f"{profile.phc},keyid={'k' * 11}$") for profile in PROFILES.values())
    # Salt and key in base64.
    assert WIDTHS["password"] >= longest + len("$") + 22 + 43
