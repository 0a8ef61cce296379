"""The substitutions that adapt npm's Pyodide to workerd."""

import re

import pytest

from devstack.pyodide.glue import SUBSTITUTIONS, Substitution, SubstitutionError, adapt
from devstack.setup.bootstrap import ROOT

ORIGINAL = (ROOT / "node_modules/pyodide/pyodide.asm.mjs").read_text()


def test_the_substitutions_match_the_installed_pyodide() -> None:
    """The adapted module has none of the calls that workerd forbids."""
    adapted = adapt(ORIGINAL)
    for forbidden in ("new WebAssembly.Module(", "WebAssembly.instantiate(", "crypto.getRandomValues(", " eval("):
        assert forbidden not in adapted
    assert adapted.startswith("import {")
    assert "export{_createPyodideModule};" in adapted


@pytest.mark.parametrize("substitution", SUBSTITUTIONS, ids=lambda substitution: substitution.old)
def test_a_substitution_with_a_wrong_number_of_matches_is_an_error(substitution: Substitution) -> None:
    """The error names the substitution."""
    for text in (ORIGINAL.replace(substitution.old, "", 1), ORIGINAL + substitution.old):
        with pytest.raises(SubstitutionError, match=re.escape(substitution.old)):
            adapt(text)
