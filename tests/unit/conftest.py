"""Fixtures of the unit tests."""

import pytest

from signup.web import response_timing


@pytest.fixture
def short_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an answer that conceals wait for 50 ms at most."""
    monkeypatch.setattr(response_timing, "TICK", 0.05)
