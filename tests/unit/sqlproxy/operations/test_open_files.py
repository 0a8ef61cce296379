"""The limit on open files."""

from __future__ import annotations

import resource

import pytest

from sqlproxy.operations.open_files import allow_files


@pytest.mark.parametrize(
    ("limits", "wanted", "allowed", "soft_limit"),
    [
        ((1024, 4096), 2000, 2000, 2000),
        ((1024, 1500), 2000, 1500, 1500),
        ((1024, resource.RLIM_INFINITY), 2000, 2000, 2000),
        ((4096, 4096), 2000, 4096, 4096),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), 2000, 2000, resource.RLIM_INFINITY),
    ],
)
def test_the_limit_is_raised_up_to_the_hard_limit(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], wanted: int, allowed: int, soft_limit: int
) -> None:
    """The limit is never lowered."""
    current = [limits]
    monkeypatch.setattr(resource, "getrlimit", lambda _: current[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: current.append(limits))
    assert allow_files(wanted) == allowed
    assert current[-1] == (soft_limit, limits[1])
