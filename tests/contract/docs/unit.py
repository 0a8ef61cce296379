"""Read and start a systemd unit without systemd."""

import shlex
import subprocess
from pathlib import Path


def settings(unit: Path) -> dict[str, list[str]]:
    """Return the values of each setting of a unit."""
    values: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            values.setdefault(name, []).append(value)
    return values


def start(unit: Path, credentials: Path, **more: str) -> subprocess.Popen[str]:
    """Start a unit's command with copies of its credentials. Its environment is the unit's variables and `more`."""
    unit_settings = settings(unit)
    credentials.mkdir()
    for credential in unit_settings["LoadCredential"]:
        name, _, path = credential.partition(":")
        (credentials / name).write_bytes(Path(path).read_bytes())
    pairs = [
        pair.replace("%d", str(credentials)) for line in unit_settings["Environment"] for pair in shlex.split(line)
    ]
    (command,) = unit_settings["ExecStart"]
    (folder,) = unit_settings["WorkingDirectory"]
    return subprocess.Popen(
        shlex.split(command),
        cwd=folder,
        env=dict(pair.split("=", 1) for pair in pairs) | more,
        stderr=subprocess.PIPE,
        text=True,
    )
