"""`make test`: pytest, with the coverage gate when the whole suite runs.

`make test ARGS='tests/unit -q'` passes the arguments to pytest and measures no coverage, because a part of the
suite covers only a part of the code.
"""

import subprocess
import sys

from devstack.postgres import cluster
from devstack.scratch import scratch_folder
from devstack.setup.bootstrap import ROOT

# The options measure the branch coverage of src/ and sqlproxy/, also in processes that tests start. pyproject.toml sets
# the required percentage. Three processes keep two cores busy, because tests spend a third of their time waiting.
WHOLE = ("--cov", "--cov-report=term", "--durations=5", "--numprocesses=3", "--dist=loadfile")


def main(arguments: list[str]) -> int:
    """Run pytest and return its exit status."""
    cluster.forget_libpq_environment()
    # By default pytest leaves its folders in the system's temporary directory.
    with scratch_folder("pytest") as folder:
        command = [sys.executable, "-m", "pytest", f"--basetemp={folder}/base", *(arguments or WHOLE)]
        return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
