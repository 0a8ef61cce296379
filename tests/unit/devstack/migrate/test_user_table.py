"""The column widths that `make migrate` requires."""

from devstack.migrate.user_table import WIDTHS
from signup.fields.email_address import LONGEST_ADDRESS
from signup.fields.models import LONGEST_NAME
from signup.hashing.profiles import PROFILES


def test_the_widths_match_the_limits_of_the_worker() -> None:
    """The widths are stated twice, because `user_table` does not import `src`. A key ID has up to 11 characters."""
    assert (WIDTHS["name"], WIDTHS["email"]) == (LONGEST_NAME, LONGEST_ADDRESS)
    longest = max(len(f"{profile.phc},keyid={'k' * 11}$") for profile in PROFILES.values())
    # The lengths of the salt and the key in base64.
    assert WIDTHS["password"] >= longest + len("$") + 22 + 43
