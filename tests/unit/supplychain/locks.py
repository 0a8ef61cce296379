"""What the lock files hold: `requirements/*.txt` and `package-lock.json`, read without a network."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Of a requirement: name, version, and the condition (PEP 508) under which it is wanted.
_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?==(?P<version>[^\s;\\]+)(\s*;\s*(?P<marker>[^\\]+))?")


class LockError(Exception):
    """A lock file has a line that is neither a pin nor a hash; the message shows where."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One locked package.

    Args:
        name: in PyPI's normal form (PEP 503), or as npm writes it.
        version: the only one that is installed.
        marker: when it is wanted (PEP 508); "" for always.
        digests: of its files, as the lock writes them; each installed file must be one of them.
        licence: as package-lock.json states it; "" where the lock does not say.
    """

    name: str
    version: str
    marker: str = ""
    digests: tuple[str, ...] = ()
    licence: str = ""


def normal(name: str) -> str:
    """Return a Python package's name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def python_pins(path: Path) -> list[Pin]:
    """Read a requirements file.

    Raises:
        LockError: a line is neither a pin with `==` nor a hash nor a comment: an option could name another index.
    """
    pins = []
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        content = line.partition(" #")[0].strip()
        if not content or content.startswith("#"):
            continue
        requirement, *digests = re.split(r"\s+--hash=", content)
        found = _PIN.fullmatch(requirement.strip())
        if found is None:
            raise LockError(f"{path.name}: {content[:60]!r} is not a pin")
        marker = (found["marker"] or "").strip()
        pins.append(Pin(normal(found["name"]), found["version"], marker, tuple(digests)))
    return pins


def npm_pins(path: Path) -> list[Pin]:
    """Read a package-lock.json, the project itself excepted."""
    packages = json.loads(path.read_text(encoding="utf-8"))["packages"]
    return [
        Pin(
            name=place.rpartition("node_modules/")[2],
            version=entry["version"],
            digests=(entry["integrity"],) if "integrity" in entry else (),
            licence=entry.get("license", ""),
        )
        for place, entry in packages.items()
        if place
    ]
