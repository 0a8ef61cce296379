"""axe-core, which looks for what keeps people out (https://github.com/dequelabs/axe-core)."""

from functools import cache
from typing import Any

from playwright.sync_api import Page

from devstack.setup.bootstrap import ROOT

# Everything that axe knows (WCAG 2.0 to 2.2, A and AA, and best practices), what it could not decide included.
_RUN = """(without) => axe.run({ exclude: without }, { resultTypes: ["violations", "incomplete"] })
  .then((found) => [...found.violations, ...found.incomplete])"""


@cache
def _source() -> str:
    return (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def violations(page: Page, without: tuple[str, ...] = ()) -> list[str]:
    """Return what axe finds on a page as it is now, and what it could not decide: the rule, its impact, and where.

    Args:
        page: the page, in a browser with JavaScript: without, axe would never end.
        without: selectors of what is not looked at.
    """
    if not page.evaluate("'axe' in globalThis"):
        page.evaluate(_source())
    found: list[dict[str, Any]] = page.evaluate(_RUN, [[each] for each in without])
    return [
        f"{rule['id']} ({rule['impact']}): {' '.join(node['target'][0] for node in rule['nodes'])}" for rule in found
    ]
