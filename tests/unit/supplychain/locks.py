"""Read the lock files `requirements/*.txt` and `package-lock.json`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# The name, version and environment marker (PEP 508) of a requirement.
_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?==(?P<version>[^\s;\\]+)(\s*;\s*(?P<marker>[^\\]+))?")


class LockError(Exception):
    """A line of a requirements file is not a pin; the message quotes its beginning."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A locked package.

    Args:
        name: the normalised name (PEP 503), or npm's name.
        version: the locked version.
        marker: the environment marker (PEP 508), or "".
        digests: the digests of the package's files.
        licence: the licence in package-lock.json, or "".
    """

    name: str
    version: str
    marker: str = ""
    digests: tuple[str, ...] = ()
    licence: str = ""


def normal(name: str) -> str:
    """Return the normalised name of a Python package (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def python_pins(path: Path) -> list[Pin]:
    """Read a requirements file.

    Raises:
        LockError: a line is neither a pin with `==` nor a comment. An option could name another index.
    """
    pins = []
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        content = line.partition(" #")[0].strip()
        if not content or content.startswith("#"):
            continue
        requirement, *digests = re.split(r"\s+--hash=", content)
        match = _PIN.fullmatch(requirement.strip())
        if match is None:
            raise LockError(f"{path.name}: {content[:60]!r} is not a pin")
        marker = (match["marker"] or "").strip()
        pins.append(Pin(normal(match["name"]), match["version"], marker, tuple(digests)))
    return pins


def npm_pins(path: Path) -> list[Pin]:
    """Read a package-lock.json, without the project itself."""
    packages = json.loads(path.read_text(encoding="utf-8"))["packages"]
    return [
        Pin(
            name=location.rpartition("node_modules/")[2],
            version=entry["version"],
            digests=(entry["integrity"],) if "integrity" in entry else (),
            licence=entry.get("license", ""),
        )
        for location, entry in packages.items()
        if location
    ]
