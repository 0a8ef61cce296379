"""Fixtures of the unit tests."""

import pytest

from signup.web import response_timing


@pytest.fixture(autouse=True)
def short_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the interval between ticks (`signup.web.response_timing`) to 50 ms."""
    monkeypatch.setattr(response_timing, "TICK", 0.05)
