"""Check the accessibility of a page with axe-core (https://github.com/dequelabs/axe-core)."""

from functools import cache
from typing import Any

from playwright.sync_api import Page

from devstack.setup.bootstrap import ROOT

# This function applies the rules that are enabled by default (WCAG 2.0 and 2.1, A and AA, and best practices), and
# returns violations and results that need a review. The only rule for WCAG 2.2, `target-size`, is disabled by default.
_RUN = """(without) => axe.run({ exclude: without }, { resultTypes: ["violations", "incomplete"] })
  .then((results) => [...results.violations, ...results.incomplete])"""


@cache
def _source() -> str:
    return (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def violations(page: Page, without: tuple[str, ...] = ()) -> list[str]:
    """Return the violations and undecided results of a page: rule, impact and elements.

    Args:
        page: the page; its browser must run JavaScript.
        without: selectors of elements to exclude.
    """
    if not page.evaluate("'axe' in globalThis"):
        page.evaluate(_source())
    results: list[dict[str, Any]] = page.evaluate(_RUN, [[each] for each in without])
    return [
        f"{rule['id']} ({rule['impact']}): {' '.join(node['target'][0] for node in rule['nodes'])}" for rule in results
    ]
