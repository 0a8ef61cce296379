"""Execute a Containerfile in ordinary folders; only the instructions of deploy/Containerfile are supported.

There is no isolation and no base image: `python` is the running interpreter. The tests show that COPY and RUN work with
the files of the repository, and that the result runs.
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
    """The result of a stage.

    Args:
        root: the folder that contains the image's files.
        folder: the working directory, as a path inside the image.
        variables: the environment variables.
        user: the user and group ids that processes run with.
        entrypoint: the command of the container.
        health: the command of the health check.
    """

    root: Path
    folder: str = "/"
    variables: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    entrypoint: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def path(self, inside: str) -> Path:
        """Return the path on this machine of a path inside the image."""
        return self.root / os.path.normpath(f"{self.folder}/{inside}" if inside[0] != "/" else inside).lstrip("/")

    def replace_paths(self, text: str) -> str:
        """Replace absolute paths below /opt in the image with paths on this machine."""
        return re.sub(r"(?<![\w.])/opt/", f"{self.root}/opt/", text)

    def run(self, command: list[str], **more: str) -> subprocess.Popen[str]:
        """Start a command. Its environment is the image's variables and `more`."""
        words = [self.replace_paths(word) for word in command]
        env = {name: self.replace_paths(value) for name, value in self.variables.items()} | more
        return subprocess.Popen(words, cwd=self.path("."), env=env, stderr=subprocess.PIPE, text=True)


def instructions(file: Path) -> list[tuple[str, str]]:
    """Return each instruction with its arguments, without comments."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    return [(word, arguments) for word, _, arguments in (line.partition(" ") for line in lines)]


def is_sent(name: str, dockerignore: Path) -> bool:
    """Return whether a path is sent to the builder. The last matching line of .dockerignore decides."""
    sent = True
    for line in dockerignore.read_text(encoding="utf-8").splitlines():
        pattern = line.lstrip("!")
        if line and line[0] != "#" and any(fnmatch.fnmatch(part, pattern) for part in _prefixes(name)):
            sent = line[0] == "!"
    return sent


def _prefixes(name: str) -> list[str]:
    """Return a path and its parents, and each of its names after a slash, which a pattern such as `**/name` matches."""
    parts = name.split("/")
    return ["/".join(parts[: i + 1]) for i in range(len(parts))] + [f"/{part}" for part in parts]


def build(file: Path, context: Path, home: Path) -> Image:
    """Execute a Containerfile; return its last stage.

    Raises:
        AssertionError: a file to copy is missing or not sent, or an instruction is not supported.
        CalledProcessError: a command fails.
    """
    stages: dict[str, Image] = {}
    image = Image(home)
    for number, (word, arguments) in enumerate(instructions(file)):
        if word == "FROM":
            name = arguments.partition(" AS ")[2]
            image = stages[name] = Image(home / f"{number}-{name}")
            image.root.mkdir()
        elif word == "COPY":
            _copy(image, arguments, stages, context)
        elif word == "RUN":
            env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
            subprocess.run(["/bin/sh", "-c", arguments], cwd=image.path("."), env=env, check=True)
        else:
            _apply_metadata(image, word, arguments)
    return image


def _copy(image: Image, arguments: str, stages: dict[str, Image], context: Path) -> None:
    *options, source, target = arguments.split()
    if options:
        origin = stages[options[0].removeprefix("--from=")].path(source)
    else:
        assert is_sent(source, context / ".dockerignore"), f"{source} is not sent"
        origin = context / source
    assert origin.exists(), f"{source} does not exist"
    image.path(target).parent.mkdir(parents=True, exist_ok=True)
    if origin.is_dir():
        shutil.copytree(origin, image.path(target), symlinks=True)
    else:
        shutil.copy(origin, image.path(target))


def _apply_metadata(image: Image, word: str, arguments: str) -> None:
    match word:
        case "WORKDIR":
            image.folder = arguments
            image.path(".").mkdir(parents=True)
        case "ENV":
            name, _, value = arguments.partition("=")
            image.variables[name] = value
        case "USER":
            image.user = arguments
        case "ENTRYPOINT":
            image.entrypoint = json.loads(arguments)
        case "HEALTHCHECK":
            image.health = json.loads(arguments.partition("CMD ")[2])
        case _:
            assert word in ("ARG", "EXPOSE", "STOPSIGNAL"), f"{word} is not supported"
