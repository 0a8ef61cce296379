"""What `make audit` makes of its tools' reports."""

from __future__ import annotations

import json

import pytest

from devstack import audit
from devstack.audit import Verdict, read_npm, read_uv

VULNERABILITY = {"dependency": {"name": "h11", "version": "0.1"}, "id": "PYSEC-2099-1"}
UV = {"schema": {"version": "preview"}, "summary": {"audited_packages": 2}, "adverse_statuses": []}
NPM = {"auditReportVersion": 2, "metadata": {}}


def test_vulnerabilities_are_found() -> None:
    """Each package that has one is a finding."""
    assert read_uv(json.dumps({**UV, "vulnerabilities": [VULNERABILITY]})) == Verdict(
        reached=True, findings=("h11: PYSEC-2099-1",)
    )
    report = {**NPM, "vulnerabilities": {"minimist": {"name": "minimist", "severity": "critical"}}}
    assert read_npm(json.dumps(report)) == Verdict(reached=True, findings=("minimist: critical",))


def test_none_is_none() -> None:
    """A report without findings is one that was reached."""
    assert read_uv(json.dumps({**UV, "vulnerabilities": []})) == Verdict(reached=True)
    assert read_npm(json.dumps({**NPM, "vulnerabilities": {}})) == Verdict(reached=True)


@pytest.mark.parametrize("output", ["", "error: no route", "[]", '{"message": "405 Method Not Allowed", "error": {}}'])
def test_what_is_no_report_is_not_reached(output: str) -> None:
    """An error of the network is never taken for a clean report."""
    assert not read_uv(output).reached
    assert not read_npm(output).reached


@pytest.mark.parametrize(
    ("verdict", "status", "required", "said"),
    [
        (Verdict(reached=True), 0, 0, "0 known vulnerabilities"),
        (Verdict(reached=True, findings=("h11: X",)), 1, 1, "h11: X"),
        (Verdict(reached=False), 0, 1, "NOT REACHED"),
    ],
)
def test_the_exit_status(
    capsys: pytest.CaptureFixture[str], verdict: Verdict, status: int, required: int, said: str
) -> None:
    """A finding of either tool fails the audit; data that was not reached does when it is required."""
    clean = Verdict(reached=True)
    for verdicts in ({"Python": verdict, "JavaScript": clean}, {"Python": clean, "JavaScript": verdict}):
        assert audit.report(verdicts) == status
        assert audit.report(verdicts, required=True) == required
        assert said in capsys.readouterr().out
