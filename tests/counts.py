"""How many values, requests or seconds a test takes: few in `make test`, many in `make test-long`."""

import os

LONG = bool(os.environ.get("TEST_LONG"))


def count(few: int, many: int) -> int:
    """Return `few` in `make test`, and `many` in `make test-long`."""
    return many if LONG else few
