"""The lock files: everything has a hash, nothing names a host; and what CI runs is pinned."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.unit.supplychain.locks import LockError, npm_pins, python_pins

ROOT = Path(__file__).parents[3]
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))
PACKAGE_LOCK = ROOT / "package-lock.json"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
# CONTRIBUTING.md says why: packages for other systems.
WITHOUT_INTEGRITY = {f"@cloudflare/workerd-{system}" for system in ("darwin-64", "darwin-arm64", "windows-64")}


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_every_python_package_is_pinned_with_its_hashes(path: Path) -> None:
    """Each line is one version and SHA-256 digests: pip and uv refuse a file that has another."""
    pins = python_pins(path)
    assert pins
    for pin in pins:
        assert pin.digests, pin.name
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", digest) for digest in pin.digests), pin.name


@pytest.mark.parametrize("line", ["httpx>=0.28", "--extra-index-url https://elsewhere.example", "httpx", "./wheel.whl"])
def test_a_line_that_is_no_pin_is_an_error(tmp_path: Path, line: str) -> None:
    """A range could mean anything tomorrow, and an option could name another index."""
    path = tmp_path / "x.txt"
    path.write_text(f"a==1 ; python_version < '4' \\\n    --hash=sha256:00\n    # via b\n{line}\n")
    with pytest.raises(LockError):
        python_pins(path)


def test_every_npm_package_has_its_integrity() -> None:
    """`npm ci` refuses a tarball with another SHA-512; the known exceptions are never installed from here."""
    for pin in npm_pins(PACKAGE_LOCK):
        if pin.name not in WITHOUT_INTEGRITY:
            assert pin.digests, pin.name
            assert pin.digests[0].startswith("sha512-"), pin.name


@pytest.mark.parametrize("path", [*REQUIREMENTS, PACKAGE_LOCK], ids=lambda path: path.name)
def test_a_lock_names_no_host(path: Path) -> None:
    """Where packages come from is the business of whoever installs them, so a lock cannot lead elsewhere."""
    text = path.read_text()
    if path == PACKAGE_LOCK:
        packages = json.loads(text)["packages"]
        assert not [place for place, entry in packages.items() if {"resolved", "link"} & set(entry)]
        assert not re.search(r'"version": "[^"]*:', text)  # a version that is a URL
    else:
        assert "://" not in text


def test_scripts_of_npm_packages_do_not_run() -> None:
    """What an installed package would execute on this machine, it does not."""
    assert "ignore-scripts=true" in (ROOT / ".npmrc").read_text().splitlines()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_may_only_read(path: Path) -> None:
    """Each action is a commit, since a tag can be moved; the token reads the contents, and is not left on disk."""
    text = path.read_text()
    uses = re.findall(r"uses:\s*(\S+)", text)
    assert uses
    assert all(re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", each) for each in uses), uses
    permissions = re.findall(r"^permissions:\n((?:  .*\n)+)", text, re.MULTILINE)
    assert permissions == ["  contents: read\n"]
    assert len(re.findall(r"permissions:", text)) == 1
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")
    assert "pull_request_target" not in text
