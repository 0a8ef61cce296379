"""One browser for all tests of this folder, on the stack of the end-to-end tests."""

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
    """Return Chromium, which is started once, and ends with the last test of this folder.

    Not with the session: while Playwright runs, no other test of this process could run an event loop. pytest has no
    such scope for folders that are no packages.
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
    """Return what opens a path of the Worker's in a new context, or None at first.

    There must be no complaints in the end.
    """
    with contextlib.ExitStack() as contexts:

        def open_page(path: str | None = "/", **options: Any) -> Visit:
            it = contexts.enter_context(visiting(browser, worker.stack.base_url, **options))
            if path is not None:
                it.open(path)
            return it

        yield open_page
