"""Licences and bills of materials."""

from __future__ import annotations

from pathlib import Path

import pytest

from devstack import licences, sbom
from devstack.licences import LicenceError
from devstack.locks import npm_pins, python_pins

ROOT = Path(__file__).parents[3]


def test_every_licence_is_allowed_and_listed() -> None:
    """docs/licences.md is what `make licences` writes now; a licence that is not allowed would have raised."""
    assert (ROOT / "docs" / "licences.md").read_text() == licences.table()


def distribution(folder: Path, *lines: str) -> list[str]:
    """Make the metadata of an installed package `it`; return where to look for it."""
    info = folder / "it-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.4", "Name: it", "Version: 1", *lines, ""]))
    return [str(folder)]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["License-Expression: MIT OR Apache-2.0"], "MIT OR Apache-2.0"),
        (["License: BSD", "Classifier: Programming Language :: Python"], "BSD-3-Clause"),
        (["License: Copyright (c) somebody", "Classifier: License :: OSI Approved :: MIT License"], "MIT"),
    ],
)
def test_a_licence_is_read_from_metadata(tmp_path: Path, lines: list[str], expected: str) -> None:
    """The expression of PEP 639, else the old field, else a classifier."""
    assert licences.of_python("it", distribution(tmp_path, *lines)) == expected


@pytest.mark.parametrize(
    "lines", [["License-Expression: AGPL-3.0-only"], ["License-Expression: MIT AND AGPL-3.0-only"], []]
)
def test_another_licence_is_refused(tmp_path: Path, lines: list[str]) -> None:
    """One that is not on the list, also as a part of an expression, and none at all."""
    with pytest.raises(LicenceError, match="it: "):
        licences.of_python("it", distribution(tmp_path, *lines))


def test_what_is_not_installed_is_refused(tmp_path: Path) -> None:
    """Nobody guesses."""
    with pytest.raises(LicenceError, match="not installed"):
        licences.of_python("it", [str(tmp_path)])


@pytest.mark.parametrize("product", sbom.PRODUCTS)
def test_a_bill_of_materials_has_everything_that_is_locked(product: str) -> None:
    """Each package with version, purl and licence, and the root depends on each of them."""
    bill = sbom.bill(product)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    components = bill["components"]
    assert isinstance(components, list)
    pins = python_pins(ROOT / "requirements" / f"{product}.txt")
    served = [
        pin for pin in npm_pins(ROOT / "package-lock.json") if product == "worker" and pin.name in licences.SERVED
    ]
    purls = [f"pkg:pypi/{pin.name}@{pin.version}" for pin in pins]
    assert [each["purl"] for each in components] == purls + [f"pkg:npm/{pin.name}@{pin.version}" for pin in served]
    assert len(served) == (product == "worker")
    assert all(each["licenses"][0]["expression"] for each in components)
    assert bill["dependencies"] == [
        {"ref": f"signup-{product}@0.1.0", "dependsOn": [each["bom-ref"] for each in components]}
    ]
    assert sbom.bill(product) == bill
