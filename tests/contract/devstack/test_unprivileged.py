"""Root runs programs as an ordinary user, who can access the given files. Another user whose id has a name keeps it."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from devstack.postgres import unprivileged

REPORT = textwrap.dedent("""
    import json, os, sys
    path = sys.argv[1]
    print(json.dumps({
        "uid": [os.getuid(), os.geteuid()],
        "pid": os.getpid(),
        "access": os.access(path, os.R_OK | os.W_OK),
        "text": open(path).read(),
        "owned": os.stat(path).st_uid == os.geteuid(),
    }))
""")


def _run(path: Path) -> dict[str, object]:
    """Run REPORT as an ordinary user, check its process id, and return the rest of its report."""
    argv = [*unprivileged.prefix(Path(sys.executable), [path]), sys.executable, "-c", REPORT, str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        output, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    result: dict[str, object] = json.loads(output)
    assert result.pop("pid") == process.pid
    return result


@pytest.fixture
def private_file(tmp_path: Path) -> Path:
    """A file in a directory that only its owner may enter."""
    directory = tmp_path / "private"
    directory.mkdir(mode=0o700)
    file = directory / "file"
    file.write_text("kept", encoding="ascii")
    file.chmod(0o600)
    return file


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop privileges")
@pytest.mark.parametrize("namespaces", [True, False])
def test_root_becomes_an_unprivileged_user_with_access_to_its_files(
    private_file: Path, namespaces: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without user namespaces, the process keeps its id, and the user owns the file and can access it."""
    if not namespaces:
        monkeypatch.setattr(unprivileged, "NAMESPACE", ("false",))
    account = unprivileged.ordinary_user()
    assert account is not None
    uid = account.pw_uid
    assert uid != 0
    expected = {"uid": [uid, uid], "access": True, "text": "kept", "owned": True}
    assert _run(private_file) == expected


@pytest.mark.skipif(os.geteuid() == 0, reason="root is not an ordinary user")
def test_only_an_ordinary_user_without_a_name_switches(private_file: Path) -> None:
    """The program runs with the user's id, unless that id has no name, which initdb requires."""
    has_name = os.getuid() in {account.pw_uid for account in pwd.getpwall()}
    account = unprivileged.ordinary_user()
    assert account is not None
    uid = os.getuid() if has_name else account.pw_uid
    assert _run(private_file) == {"uid": [uid] * 2, "access": True, "text": "kept", "owned": True}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop privileges")
def test_an_error_has_advice_if_root_cannot_become_another_user(
    private_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the program and possible fixes."""
    monkeypatch.setattr(unprivileged, "_succeeds", lambda _: False)
    with pytest.raises(PermissionError, match=r"/x/postgres refuses to run as root.*seccomp=unconfined"):
        unprivileged.prefix(Path("/x/postgres"), [private_file])
