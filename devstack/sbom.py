"""`make sbom`: what is deployed and what sqlproxy runs, as CycloneDX 1.6 (ECMA-424), in `.local/sbom/`.

Made of the lock files and the packages' own metadata, and the same for the same locks: no time, no serial number. The
hashes in `requirements/*.txt` are those of all files of a release, so they stand there and not here.
"""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

from devstack.bootstrap import MODULES, ROOT
from devstack.licences import SERVED, of_python
from devstack.locks import Pin, npm_pins, python_pins

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER = ROOT / ".local" / "sbom"
# What each of them is made of; where its packages are installed here.
PRODUCTS: dict[str, Iterable[str]] = {"worker": [str(MODULES)], "sqlproxy": ()}


def bill(product: str) -> dict[str, object]:
    """Return the bill of materials of `worker` or `sqlproxy` as a JSON object.

    Raises:
        LicenceError: a package's licence is not known.
    """
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    root = f"signup-{product}@{version}"
    components = []
    for pin in python_pins(ROOT / "requirements" / f"{product}.txt"):
        purl = f"pkg:pypi/{pin.name}@{pin.version}"
        component: dict[str, object] = {
            "type": "library",
            "bom-ref": purl,
            "name": pin.name,
            "version": pin.version,
            "purl": purl,
            "licenses": [{"expression": of_python(pin.name, PRODUCTS[product])}],
        }
        if pin.marker:
            component["scope"] = "optional"
            component["properties"] = [{"name": "signup:marker", "value": pin.marker}]
        components.append(component)
    if product == "worker":
        components += [_served(pin) for pin in npm_pins(ROOT / "package-lock.json") if pin.name in SERVED]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": f"signup-{product}",
                "version": version,
                "licenses": [{"expression": "MIT"}],
            }
        },
        "components": components,
        "dependencies": [{"ref": root, "dependsOn": [component["bom-ref"] for component in components]}],
    }


def _served(pin: Pin) -> dict[str, object]:
    purl = f"pkg:npm/{pin.name}@{pin.version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": pin.name,
        "version": pin.version,
        "purl": purl,
        "licenses": [{"expression": pin.licence}],
    }


def main() -> int:
    """Write both."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for product in PRODUCTS:
        path = FOLDER / f"{product}.cdx.json"
        path.write_text(json.dumps(bill(product), indent=2) + "\n", encoding="utf-8")
        print(f"sbom: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
