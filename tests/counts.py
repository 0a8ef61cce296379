"""The size of tests: few values, requests or seconds in `make test`, and many in `make test-long`."""

import os

from hypothesis import settings

LONG = bool(os.environ.get("TEST_LONG"))


def count(few: int, many: int) -> int:
    """Return `few` in `make test`, and `many` in `make test-long`."""
    return many if LONG else few


def examples(few: int, many: int = 2000) -> settings:
    """Return Hypothesis settings for this number of examples. `make test` uses the same examples in every run."""
    return settings(max_examples=count(few, many), deadline=None, derandomize=not LONG, database=None)
