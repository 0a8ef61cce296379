"""The substitutions that make npm's Pyodide run in workerd."""

import pytest

from devstack.pyodide.glue import SUBSTITUTIONS, Substitution, SubstitutionError, adapt
from devstack.setup.bootstrap import ROOT

ORIGINAL = (ROOT / "node_modules/pyodide/pyodide.asm.mjs").read_text()


def test_the_installed_pyodide_fits() -> None:
    """Every substitution matches as often as it says, and nothing that workerd forbids is left."""
    adapted = adapt(ORIGINAL)
    for forbidden in ("new WebAssembly.Module(", "WebAssembly.instantiate(", "crypto.getRandomValues(", " eval("):
        assert forbidden not in adapted
    assert adapted.startswith("import {")
    assert "export{_createPyodideModule};" in adapted


@pytest.mark.parametrize("substitution", SUBSTITUTIONS, ids=lambda substitution: substitution.name)
def test_a_substitution_that_does_not_match_is_named(substitution: Substitution) -> None:
    """One match fewer or one more is an error that names the substitution, and not a silent skip."""
    for text in (ORIGINAL.replace(substitution.old, "", 1), ORIGINAL + substitution.old):
        with pytest.raises(SubstitutionError, match=f"the substitution '{substitution.name}' matches"):
            adapt(text)


def test_every_substitution_says_why() -> None:
    """The table is its own documentation."""
    assert all(each.why for each in SUBSTITUTIONS)
    assert len({each.name for each in SUBSTITUTIONS}) == len(SUBSTITUTIONS)
