"""Fixtures of the browser tests. The tests share one browser, and the stack of the end-to-end tests."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import chromium
from tests.browser.visits import Visit, visiting
from tests.e2e.conftest import Running

Visitor = Callable[..., Visit]
_BROWSER = pytest.StashKey[Browser]()


@pytest.fixture
def browser(request: pytest.FixtureRequest) -> Browser:
    """Return Chromium, which is started once and stopped after the last test of this folder.

    The fixture is not session-scoped, because no other test of the process can run an event loop while Playwright runs.
    pytest has no scope for folders that are not packages.
    """
    test: pytest.Item = request.node
    folder = next(node for node in test.iter_parents() if node.path == Path(__file__).parent)
    if _BROWSER not in folder.stash:
        running = contextlib.ExitStack()
        folder.stash[_BROWSER] = running.enter_context(chromium())
        running.callback(folder.stash.__delitem__, _BROWSER)
        folder.addfinalizer(running.close)
    return folder.stash[_BROWSER]


@pytest.fixture
def visit(browser: Browser, worker: Running) -> Iterator[Visitor]:
    """Return a function that opens a path of the Worker in a new browser context, or an empty page for None.

    The test fails if a visit recorded problems.
    """
    with contextlib.ExitStack() as contexts:

        def open_page(path: str | None = "/", **options: Any) -> Visit:
            tab = contexts.enter_context(visiting(browser, worker.stack.base_url, **options))
            if path is not None:
                tab.open(path)
            return tab

        yield open_page
