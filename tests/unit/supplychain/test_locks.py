"""Lock files have hashes and no host names; npm runs no scripts; CI actions are pinned."""

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
# Packages for macOS and Windows; CONTRIBUTING.md explains why they have no digests.
WITHOUT_INTEGRITY = {f"@cloudflare/workerd-{system}" for system in ("darwin-64", "darwin-arm64", "windows-64")}


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_every_python_package_is_pinned_with_its_hashes(path: Path) -> None:
    """Pip and uv reject a file with a different SHA-256 digest."""
    pins = python_pins(path)
    assert pins
    for pin in pins:
        assert pin.digests, pin.name
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", digest) for digest in pin.digests), pin.name


@pytest.mark.parametrize("line", ["httpx>=0.28", "--extra-index-url https://elsewhere.example", "httpx", "./wheel.whl"])
def test_a_line_that_is_not_a_pin_is_an_error(tmp_path: Path, line: str) -> None:
    """A range could select another version, and an option could name another index."""
    path = tmp_path / "x.txt"
    path.write_text(f"a==1 ; python_version < '4' \\\n    --hash=sha256:00\n    # via b\n{line}\n")
    with pytest.raises(LockError):
        python_pins(path)


def test_every_npm_package_has_an_integrity_digest() -> None:
    """`npm ci` rejects a tarball with a different SHA-512 digest. The exceptions are not installed on Linux."""
    for pin in npm_pins(PACKAGE_LOCK):
        if pin.name not in WITHOUT_INTEGRITY:
            assert pin.digests, pin.name
            assert pin.digests[0].startswith("sha512-"), pin.name


@pytest.mark.parametrize("path", [*REQUIREMENTS, PACKAGE_LOCK], ids=lambda path: path.name)
def test_a_lock_file_names_no_host(path: Path) -> None:
    """The user's own configuration selects the registry."""
    text = path.read_text()
    if path == PACKAGE_LOCK:
        packages = json.loads(text)["packages"]
        assert not [location for location, entry in packages.items() if {"resolved", "link"} & set(entry)]
        assert not re.search(r'"version": "[^"]*:', text)  # a version that is a URL
    else:
        assert "://" not in text


def test_npm_does_not_run_package_scripts() -> None:
    """`.npmrc` disables install scripts."""
    assert "ignore-scripts=true" in (ROOT / ".npmrc").read_text().splitlines()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_read_only(path: Path) -> None:
    """Each action is pinned to a commit; the token can only read contents and is not stored."""
    text = path.read_text()
    uses = re.findall(r"uses:\s*(\S+)", text)
    assert uses
    assert all(re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", each) for each in uses), uses
    permissions = re.findall(r"^permissions:\n((?:  .*\n)+)", text, re.MULTILINE)
    assert permissions == ["  contents: read\n"]
    assert len(re.findall(r"permissions:", text)) == 1
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")
    assert "pull_request_target" not in text
