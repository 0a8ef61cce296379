"""Carries out a Containerfile in folders: the instructions that deploy/Containerfile uses, and no others.

There is no isolation and no base image: `python` is the one that runs this. What is checked is that each instruction
can be followed with what is in the repository, and that what comes out of it runs.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Image:
    """What a stage has become.

    Args:
        root: the folder that is its file system.
        folder: where it works, as the image sees it.
        variables: of its environment.
    """

    root: Path
    folder: str = "/"
    variables: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    entrypoint: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def path(self, inside: str) -> Path:
        """Return where a path of the image is."""
        return self.root / os.path.normpath(f"{self.folder}/{inside}" if inside[0] != "/" else inside).lstrip("/")

    def outside(self, text: str) -> str:
        """Return a text with the image's absolute paths below /opt as they are out here."""
        return re.sub(r"(?<![\w.])/opt/", f"{self.root}/opt/", text)

    def run(self, command: list[str], **more: str) -> subprocess.Popen[str]:
        """Start a command of the image with its environment and nothing else but `more`."""
        words = [self.outside(word) for word in command]
        env = {name: self.outside(value) for name, value in self.variables.items()} | more
        return subprocess.Popen(words, cwd=self.path("."), env=env, stderr=subprocess.PIPE, text=True)


def instructions(file: Path) -> list[tuple[str, str]]:
    """Return each instruction with what follows it, without comments."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def is_sent(name: str, ignored: Path) -> bool:
    """Say whether a path of the context is sent to the builder, by a .dockerignore whose last matching line counts."""
    sent = True
    for line in ignored.read_text(encoding="utf-8").splitlines():
        pattern = line.lstrip("!")
        if line and line[0] != "#" and any(fnmatch.fnmatch(part, pattern) for part in _prefixes(name)):
            sent = line[0] == "!"
    return sent


def _prefixes(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[: i + 1]) for i in range(len(parts))] + [f"/{part}" for part in parts]


def build(file: Path, context: Path, home: Path) -> Image:
    """Carry a file out; return its last stage.

    Raises:
        AssertionError: an instruction cannot be followed.
    """
    stages: dict[str, Image] = {}
    image = Image(home)
    for number, (word, rest) in enumerate(instructions(file)):
        if word == "FROM":
            name = rest.partition(" AS ")[2]
            image = stages[name] = Image(home / f"{number}-{name}")
            image.root.mkdir()
        elif word == "COPY":
            _copy(image, rest, stages, context)
        elif word == "RUN":
            env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
            subprocess.run(["/bin/sh", "-c", rest], cwd=image.path("."), env=env, check=True)
        else:
            _note(image, word, rest)
    return image


def _copy(image: Image, rest: str, stages: dict[str, Image], context: Path) -> None:
    *options, source, target = rest.split()
    if options:
        it = stages[options[0].removeprefix("--from=")].path(source)
    else:
        assert is_sent(source, context / ".dockerignore"), f"{source} is not sent"
        it = context / source
    assert it.exists(), f"there is no {source}"
    image.path(target).parent.mkdir(parents=True, exist_ok=True)
    if it.is_dir():
        shutil.copytree(it, image.path(target), symlinks=True)
    else:
        shutil.copy(it, image.path(target))


def _note(image: Image, word: str, rest: str) -> None:
    match word:
        case "WORKDIR":
            image.folder = rest
            image.path(".").mkdir(parents=True)
        case "ENV":
            name, _, value = rest.partition("=")
            image.variables[name] = value
        case "USER":
            image.user = rest
        case "ENTRYPOINT":
            image.entrypoint = json.loads(rest)
        case "HEALTHCHECK":
            image.health = json.loads(rest.partition("CMD ")[2])
        case _:
            assert word in ("ARG", "EXPOSE", "STOPSIGNAL"), f"{word} is unknown here"
