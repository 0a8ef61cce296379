"""`make test` distributes the files of the suite over three processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from devstack.setup.bootstrap import ROOT
from devstack.testing import WHOLE

if TYPE_CHECKING:
    from pathlib import Path

TESTS = """
import time
import pytest

@pytest.mark.parametrize("number", range(6))
def test_it(number):
    time.sleep(0.05)
"""
FILES = ("test_one", "test_two", "test_three", "test_faults", "test_full_disk")


def test_the_tests_of_a_file_or_group_stay_in_one_process(tmp_path: Path) -> None:
    """The files that write the fault matrix are a group. All three processes get tests."""
    (tmp_path / "e2e").mkdir()
    for name in FILES:
        (tmp_path / "e2e" / f"{name}.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    options = [option for option in WHOLE if not option.startswith(("--cov", "--durations"))]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "xdist", f"--rootdir={tmp_path}", *options, tmp_path],
        cwd=ROOT,
        # Importing other plugins takes seconds.
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ran = re.findall(r"^\[(gw\d)\] .* PASSED \S*/(\w+)\.py::", done.stdout, re.MULTILINE)
    processes = {name: {process for process, file in ran if file == name} for name in FILES}
    assert [len(each) for each in processes.values()] == [1] * len(FILES)
    assert processes["test_faults"] == processes["test_full_disk"]
    assert set.union(*processes.values()) == {"gw0", "gw1", "gw2"}
    # Each process begins with one of the first three files or groups, and test_two is the fourth.
    assert ran[0][1] != "test_two"
