"""What setup does with the Worker's packages."""

from pathlib import Path

import pytest

from devstack.setup.bootstrap import StepError, remove_foreign_extensions


def test_extension_modules_for_other_platforms_are_removed_where_they_are_optional(tmp_path: Path) -> None:
    """MarkupSafe works without; a package that needs one cannot be deployed."""
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
