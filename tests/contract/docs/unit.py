"""Read and start a systemd unit without systemd."""

import shlex
import subprocess
from pathlib import Path


def settings(unit: Path) -> dict[str, list[str]]:
    """Return the settings of a unit, each with its values."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def start(unit: Path, credentials: Path, **more: str) -> subprocess.Popen[str]:
    """Start a unit's command with copies of its credentials, and only its own environment variables and `more`."""
    its = settings(unit)
    credentials.mkdir()
    for loaded in its["LoadCredential"]:
        name, _, path = loaded.partition(":")
        (credentials / name).write_bytes(Path(path).read_bytes())
    pairs = [pair.replace("%d", str(credentials)) for line in its["Environment"] for pair in shlex.split(line)]
    (command,) = its["ExecStart"]
    (folder,) = its["WorkingDirectory"]
    return subprocess.Popen(
        shlex.split(command),
        cwd=folder,
        env=dict(pair.split("=", 1) for pair in pairs) | more,
        stderr=subprocess.PIPE,
        text=True,
    )
