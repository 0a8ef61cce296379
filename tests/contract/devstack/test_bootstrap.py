"""Setting up."""

import subprocess
import sys
from pathlib import Path

from devstack.bootstrap import BIN, ROOT, VENV


def test_the_virtual_environment_is_not_made_of_itself() -> None:
    """With `.venv/bin` in PATH, as wrangler wants it, `make` still finds the Python that it is made of."""
    command = "from devstack.bootstrap import interpreter; print(interpreter())"
    printed = subprocess.run([BIN / "python", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    found = Path(printed.stdout.strip())
    assert found.exists()
    assert VENV not in found.parents
    assert VENV in Path(sys.executable).parents
