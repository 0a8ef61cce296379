"""Extension modules in the Worker's packages, which `make setup` installs."""

from pathlib import Path

import pytest

from devstack.setup.bootstrap import StepError, remove_foreign_extensions


def test_optional_extension_modules_of_other_platforms_are_removed(tmp_path: Path) -> None:
    """MarkupSafe works without its extension; a package that needs its extension is an error."""
    ours = tmp_path / "pydantic_core" / "_pydantic_core.cpython-314-wasm32-emscripten.so"
    foreign = tmp_path / "markupsafe" / "_speedups.cpython-314-x86_64-linux-gnu.so"
    for path in (ours, foreign):
        path.parent.mkdir()
        path.touch()
    remove_foreign_extensions(tmp_path)
    assert (ours.exists(), foreign.exists()) == (True, False)
    (ours.parent / "_other.cpython-314-x86_64-linux-gnu.so").touch()
    with pytest.raises(StepError, match="pydantic_core has no wheel for Pyodide"):
        remove_foreign_extensions(tmp_path)
