"""The API page /docs in a browser."""

from tests.browser.axe import violations
from tests.browser.conftest import Visitor

# Violations in Swagger UI's own markup and colours. When a release fixes one, the test below fails until its line is
# removed.
SWAGGER_UI = {
    "aria-prohibited-attr": "the button that copies a path is a div with a label",
    "color-contrast": "white text on green and blue, and grey text on grey",
    "heading-order": "the headings of tags are h3 and follow h1",
    "nested-interactive": "a button within the element that opens an operation",
    "region": "the title and the servers are outside the main element",
    "select-name": "the list of servers has no label",
}


def test_the_page_lists_the_paths_and_sends_requests(visit: Visitor) -> None:
    """The Worker's paths are listed, and a request sent from the page reaches the Worker."""
    tab = visit("/docs")
    tab.page.locator(".opblock").first.wait_for()
    paths = tab.page.locator(".opblock-summary-path").all_inner_texts()
    assert {"/", "/health", "/ready", "/openapi.json"} <= {path.replace("\N{ZERO WIDTH SPACE}", "") for path in paths}
    health = tab.page.locator(".opblock").filter(has_text="/health").first
    health.locator(".opblock-summary-control").click()
    health.get_by_role("button", name="Try it out").click()
    health.get_by_role("button", name="Execute").click()
    health.locator(".live-responses-table .response-col_status").get_by_text("200").wait_for()
    assert tab.requests[-1].url == f"{tab.base_url}/health"


def test_axe_finds_only_known_violations_of_swagger_ui(visit: Visitor) -> None:
    """The markup outside Swagger UI has no violations."""
    tab = visit("/docs")
    tab.page.locator(".opblock").first.wait_for()
    assert violations(tab.page, ("#api > *",)) == []
    assert {each.split(" ")[0] for each in violations(tab.page)} == set(SWAGGER_UI)
