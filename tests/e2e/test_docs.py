"""The page /docs, and the files that Cloudflare answers with by itself."""

import re
from html.parser import HTMLParser

import httpx
import pytest

from devstack.setup.bootstrap import ROOT
from tests.e2e.conftest import Running


class References(HTMLParser):
    """What a page makes a browser load, and what it would run or apply from within itself."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at a tag."""
        given = dict(attrs)
        source = given.get("src") or (given.get("href") if tag == "link" else None)
        if source:
            self.loaded.append(source)
        if (tag == "script" and "src" not in given) or tag == "style":
            self.inline.append(tag)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]


def asset(worker: Running, path: str) -> httpx.Response:
    """Get a file. It is somebody else's text, in which example addresses are no leak."""
    return httpx.get(f"{worker.stack.base_url}{path}", follow_redirects=True)


def test_the_page_loads_only_files_of_its_own_origin(worker: Running) -> None:
    """200 and HTML; each file that it names is there and is what it is said to be; nothing is inline."""
    page = asset(worker, "/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    references = References()
    references.feed(page.text)
    assert references.inline == []
    kinds = {".js": "javascript", ".css": "text/css", ".png": "image/png"}
    assert len(references.loaded) == 4
    for path in references.loaded:
        assert re.fullmatch(r"/docs/[a-z0-9.-]+", path)
        answer = asset(worker, path)
        assert answer.status_code == 200
        assert kinds[path[path.rindex(".") :]] in answer.headers["content-type"]
    assert asset(worker, "/docs/init.js").text == (ROOT / "public/docs/init.js").read_text()


@pytest.mark.parametrize("path", ["/docs/", "/docs/init.js", "/docs/swagger-ui-bundle.js"])
def test_its_headers_allow_for_nothing_else(worker: Running, path: str) -> None:
    """No inline script, no other origin, no frame; media types are what they say; caches may keep it."""
    headers = asset(worker, path).headers
    policy = dict(each.strip().split(" ", 1) for each in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert "max-age" in headers["cache-control"]


def test_what_it_shows_is_the_workers_own(worker: Running) -> None:
    """Our script names /openapi.json and no other host; Swagger UI's own comes with its licence."""
    script = asset(worker, "/docs/init.js").text
    assert '"/openapi.json"' in script
    assert "://" not in script
    assert "Apache License" in asset(worker, "/docs/swagger-ui.LICENSE.txt").text


def test_the_worker_answers_what_is_no_file(worker: Running) -> None:
    """There is no page at / that would hide the Worker, and what is not there is the Worker's 404."""
    assert not (ROOT / "public" / "index.html").exists()
    for path in ("/docs/nothing", "/_headers", "/index.html"):
        answer = asset(worker, path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
