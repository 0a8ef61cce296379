"""`make audit`: are there known vulnerabilities in what is locked? Asked of OSV for Python, of npm for JavaScript.

Where their data cannot be reached the audit says so and passes, because nothing is known then: `ARGS=--required` makes
that a failure too, for a machine that is known to reach them. Any vulnerability that is known fails it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devstack.bootstrap import BIN, ROOT
from devstack.locks import python_pins

if TYPE_CHECKING:
    from collections.abc import Mapping

_UV = (str(BIN / "uv"), "--no-config", "--preview-features", "audit-command,json-output")
_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one kind of packages.

    Args:
        reached: whether the tool got its data.
        findings: one line each.
    """

    reached: bool
    findings: tuple[str, ...] = ()


def read_uv(output: str) -> Verdict:
    """Read the JSON of `uv audit`; what is not its report means that it got no data."""
    report = _object(output)
    if "summary" not in report:
        return Verdict(reached=False)
    found = [f"{each['dependency']['name']}: {each['id']}" for each in report["vulnerabilities"]]
    return Verdict(reached=True, findings=(*found, *(f"{each}" for each in report.get("adverse_statuses", ()))))


def read_npm(output: str) -> Verdict:
    """Read the JSON of `npm audit`; what is not its report means that it got no data."""
    report = _object(output)
    if "auditReportVersion" not in report:
        return Verdict(reached=False)
    found = report["vulnerabilities"]
    return Verdict(reached=True, findings=tuple(f"{name}: {each['severity']}" for name, each in found.items()))


def python_verdict(*options: str) -> Verdict:
    """Ask about every Python package of every requirements file.

    `uv audit` reads a lock of its own, so it is given a project that wants exactly our pins.

    Args:
        *options: further ones for `uv audit`.
    """
    pins = {pin for path in sorted((ROOT / "requirements").glob("*.txt")) for pin in python_pins(path)}
    wanted = {f"{pin.name}=={pin.version}" + (f" ; {pin.marker}" if pin.marker else "") for pin in pins}
    with tempfile.TemporaryDirectory(dir=ROOT / ".local", prefix="audit-") as folder:
        project = {"name": "audited", "version": "0", "requires-python": ">=3.11", "dependencies": sorted(wanted)}
        lines = [f"{name} = {json.dumps(value)}" for name, value in project.items()]
        Path(folder, "pyproject.toml").write_text("\n".join(["[project]", *lines, ""]), encoding="utf-8")
        # Without retries: the user would wait for a dozen seconds to hear the same.
        environment = {"UV_HTTP_RETRIES": "0", "UV_PYTHON": sys.executable}
        _output([*_UV, "lock", "--quiet", "--project", folder], environment)
        return read_uv(
            _output([*_UV, "audit", "--frozen", "--output-format", "json", "--project", folder, *options], environment)
        )


def npm_verdict(*options: str) -> Verdict:
    """Ask about every package of package-lock.json.

    Args:
        *options: further ones for `npm audit`.
    """
    return read_npm(_output([str(BIN / "npm"), "audit", "--json", "--package-lock-only", *options], {}))


def report(verdicts: Mapping[str, Verdict], *, required: bool = False) -> int:
    """Print what is known; return 1 when there is a finding, or when data is required and was not reached."""
    status = 0
    for title, verdict in verdicts.items():
        if not verdict.reached:
            print(f"audit: {title}: NOT REACHED, so nothing is known")
            status |= required
            continue
        print(f"audit: {title}: {len(verdict.findings)} known vulnerabilities")
        for finding in verdict.findings:
            print(f"  {finding}")
            status = 1
    return int(status)


def main(arguments: list[str]) -> int:
    """Ask, and report."""
    verdicts = {"Python": python_verdict(), "JavaScript": npm_verdict()}
    return report(verdicts, required="--required" in arguments)


def _output(command: list[str], environment: dict[str, str]) -> str:
    """Return what a program printed, whatever its status: both tools end with 1 when they found something."""
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}", **environment}
    try:
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
