"""The page /docs and the static files that Cloudflare serves."""

import re
from html.parser import HTMLParser

import httpx
import pytest

from devstack.setup.bootstrap import ROOT
from tests.e2e.conftest import Running


class References(HTMLParser):
    """The files that a page loads, and its inline scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record the references and inline code of a tag."""
        attributes = dict(attrs)
        source = attributes.get("src") or (attributes.get("href") if tag == "link" else None)
        if source:
            self.loaded.append(source)
        if (tag == "script" and "src" not in attributes) or tag == "style":
            self.inline.append(tag)
        self.inline += [name for name in attributes if name == "style" or name.startswith("on")]


def asset(worker: Running, path: str) -> httpx.Response:
    """Get a file with a client that does not search for secrets, because Swagger UI contains example addresses."""
    return httpx.get(f"{worker.stack.base_url}{path}", follow_redirects=True)


def test_the_page_loads_only_files_of_its_own_origin(worker: Running) -> None:
    """Each referenced file exists with the right media type; there are no inline scripts or styles."""
    page = asset(worker, "/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    references = References()
    references.feed(page.text)
    assert references.inline == []
    kinds = {".js": "javascript", ".css": "text/css", ".png": "image/png"}
    assert len(references.loaded) == 4
    for path in references.loaded:
        assert re.fullmatch(r"/docs/[a-z0-9.-]+", path)
        response = asset(worker, path)
        assert response.status_code == 200
        assert kinds[path[path.rindex(".") :]] in response.headers["content-type"]
    assert asset(worker, "/docs/init.js").text == (ROOT / "public/docs/init.js").read_text()


@pytest.mark.parametrize("path", ["/docs/", "/docs/init.js", "/docs/swagger-ui-bundle.js"])
def test_the_headers_of_the_page_forbid_other_sources(worker: Running, path: str) -> None:
    """The headers forbid inline scripts, other origins, framing and media type sniffing, and allow caching."""
    headers = asset(worker, path).headers
    policy = dict(each.strip().split(" ", 1) for each in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert "max-age" in headers["cache-control"]


def test_the_page_shows_the_workers_own_document(worker: Running) -> None:
    """The script loads /openapi.json and names no other host; Swagger UI's licence is served too."""
    script = asset(worker, "/docs/init.js").text
    assert '"/openapi.json"' in script
    assert "://" not in script
    assert "Apache License" in asset(worker, "/docs/swagger-ui.LICENSE.txt").text


def test_paths_without_a_file_reach_the_worker(worker: Running) -> None:
    """No static page hides `/`, and the Worker responds 404 for a missing file."""
    assert not (ROOT / "public" / "index.html").exists()
    for path in ("/docs/nothing", "/_headers", "/index.html"):
        response = asset(worker, path)
        assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")
