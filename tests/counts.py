"""How many values, requests or seconds a test takes: few in `make test`, many in `make test-long`."""

import os

from hypothesis import settings

LONG = bool(os.environ.get("TEST_LONG"))


def count(few: int, many: int) -> int:
    """Return `few` in `make test`, and `many` in `make test-long`."""
    return many if LONG else few


def examples(few: int, many: int = 2000) -> settings:
    """Return Hypothesis' settings for so many examples; those of `make test` are the same in every run."""
    return settings(max_examples=count(few, many), deadline=None, derandomize=not LONG, database=None)
