"""Schemathesis asks the Worker for what its OpenAPI document allows and forbids, and compares the answers with it.

Answers to methods, media types, parameters and bodies that the document does not know are looked at as well as those to
what it knows: status, headers, media type, schema, and that wrong data is refused.
"""

import json
import os
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devstack.setup.bootstrap import BIN, ROOT
from tests.e2e.conftest import Running, behind_a_relay

# For each operation and phase; a sign-up hashes. What depends on the settings needs fewer, and what is wrong in each
# answer very few.
EXAMPLES, FEWER, FEW = 15, 5, 3
SECONDS = 120


def statuses(report: Path) -> Counter[int]:
    """Count the statuses of the answers that a report holds."""

    def found(value: Any) -> Iterator[int]:
        if isinstance(value, dict):
            if isinstance(value.get("status_code"), int):
                yield value["status_code"]
            value = list(value.values())
        if isinstance(value, list):
            for each in value:
                yield from found(each)

    return Counter(status for line in report.read_text().splitlines() for status in found(json.loads(line)))


def disagreements(url: str, home: Path, examples: int, *more: str) -> tuple[int, str, Counter[int]]:
    """Run it, in a process and a folder of its own.

    Args:
        url: where the document is.
        home: the folder.
        examples: at most so many for each operation and phase.
        more: arguments.

    Returns:
        Its exit status, what it printed, and how often each status was answered.
    """
    seed = random.SystemRandom().randrange(10**6)
    done = subprocess.run(
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
        timeout=SECONDS,
    )
    return done.returncode, done.stdout + done.stderr, statuses(home / "report")


def test_the_worker_does_as_its_description_says(worker: Running, tmp_path: Path) -> None:
    """No disagreement with the settings of the tests, and each kind of answer was seen."""
    status, printed, seen = disagreements(f"{worker.stack.base_url}/openapi.json", tmp_path, EXAMPLES)
    assert status == 0, printed
    assert {200, 201, 400, 404, 405, 415, 422} <= seen.keys()


def test_other_settings_are_another_description(worker: Running, state: Path, tmp_path: Path) -> None:
    """No disagreement either where taken addresses are concealed, passwords shorter, and pages of others listed."""
    settings: dict[str, float | str] = {
        "DUPLICATE_RESPONSE": "conceal",
        "PASSWORD_MIN_LENGTH": 8,
        "EMAIL_SUBADDRESSING": "refuse",
        "CORS_ORIGINS": "https://www.example.com",
    }
    with behind_a_relay(worker, state / "described", **settings) as (other, _):
        status, printed, seen = disagreements(f"{other.stack.base_url}/openapi.json", tmp_path, FEWER)
    assert status == 0, printed
    # 403 takes an Origin of another page, which is drawn by chance; tests/unit/web/test_cors.py has it.
    assert {200, 202, 204, 400, 404, 405, 415, 422} <= seen.keys()
    assert {201, 409}.isdisjoint(seen)


def test_a_wrong_description_is_noticed(worker: Running, tmp_path: Path) -> None:
    """Statuses and schemas are those of the document that it was given."""
    text = (ROOT / "docs/openapi.json").read_text()
    for old, new in (('"type": "integer"', '"type": "boolean"'), ('"422": {', '"421": {')):
        assert old in text
        text = text.replace(old, new)
    file = tmp_path / "openapi.json"
    file.write_text(text)
    url = ("--url", worker.stack.base_url, "--include-method", "POST")
    status, printed, _ = disagreements(str(file), tmp_path, FEW, *url)
    assert status == 1
    for wrong in ("Response violates schema", "Undocumented status code"):
        assert wrong in printed
