"""Run Schemathesis against a Worker."""

import json
import os
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devstack.setup.bootstrap import BIN, ROOT

# The maximum duration of a run, in seconds.
TIMEOUT = 120


def run_schemathesis(url: str, home: Path, examples: int, *more: str) -> tuple[int, str, Counter[int]]:
    """Run Schemathesis in its own process and folder.

    Args:
        url: the URL or path of the OpenAPI document.
        home: the folder in which Schemathesis runs and writes its report.
        examples: the maximum number of examples per operation and phase.
        more: further command-line arguments.

    Returns:
        The exit status, the output, and the number of responses by status.
    """
    seed = random.SystemRandom().randrange(10**6)
    completed = subprocess.run(
        [
            *(str(BIN / "st"), "--config-file", str(ROOT / "tests/e2e/schemathesis.toml"), "run"),
            *(url, *more, "--max-examples", str(examples), "--seed", str(seed), "--no-color"),
            *("--phases", "examples,coverage,fuzzing", "--generation-database", "none"),
            *("--report", "ndjson", "--report-ndjson-path", str(home / "report")),
        ],
        cwd=home,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    return completed.returncode, completed.stdout + completed.stderr, _count_statuses(home / "report")


def _count_statuses(report: Path) -> Counter[int]:
    """Count the responses in a report by status."""

    def find_statuses(value: Any) -> Iterator[int]:
        if isinstance(value, dict):
            if isinstance(value.get("status_code"), int):
                yield value["status_code"]
            value = list(value.values())
        if isinstance(value, list):
            for each in value:
                yield from find_statuses(each)

    return Counter(status for line in report.read_text().splitlines() for status in find_statuses(json.loads(line)))
