"""The size of folders, and the imports between them, which docs/architecture.md describes."""

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
SRC = ROOT / "src"
# The top-level folders and modules of each package; each may import only those after it.
ORDER = {
    SRC / "signup": (
        *("runtime", "composition", "openapi", "pages", "web", "guards", "invitations", "registration"),
        *("verification", "settings", "outbox", "database", "fields", "i18n", "hashing", "http_client", "json_codec"),
        *("urls", "problems"),
        "log",
        "__init__",
    ),
    ROOT / "sqlproxy": (
        "__main__",
        "server",
        "http",
        "postgres",
        "dialect",
        "operations",
        "connection_string",
        "errors",
        "__init__",
    ),
    ROOT / "devstack": (
        *(
            "__main__",
            "documents",
            "outbox",
            "testing",
            "texts",
            "scratch",
            "users",
            "stack",
            "migrate",
            "pyodide",
            "postgres",
            "setup",
            "kdf",
            "__init__",
        ),
    ),
}
JAVASCRIPT = {"js", "pyodide", "pyodide_js", "workers"}


@functools.cache
def imports(file: Path) -> frozenset[str]:
    """Return the full names of a file's imports, including those for type checkers only."""
    return frozenset(_imports(file))


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def folder(package: Path, file: Path) -> str:
    """Return the top-level folder or module of a file."""
    return file.relative_to(package).with_suffix("").parts[0]


def dependencies(package: Path) -> set[tuple[str, str]]:
    """Return the dependencies between the top-level folders and modules of a package."""
    pairs = set()
    for file in package.rglob("*.py"):
        used = {name.split(".")[1] for name in imports(file) if name.startswith(f"{package.name}.")}
        pairs |= {(folder(package, file), other) for other in used}
    return {(source, target) for source, target in pairs if source != target}


@pytest.mark.parametrize("package", ORDER, ids=lambda package: package.name)
def test_dependencies_point_down(package: Path) -> None:
    """A folder imports only later entries of the list, so there are no cycles; the list is complete."""
    order = ORDER[package]
    assert {folder(package, file) for file in package.rglob("*.py")} == set(order)
    assert not [(a, b) for a, b in dependencies(package) if order.index(a) >= order.index(b)]


@pytest.mark.parametrize("package", ORDER, ids=lambda package: package.name)
def test_folders_have_few_modules(package: Path) -> None:
    """A package has at most eight top-level modules, and a folder at most ten."""
    for each in (package, *(path for path in package.rglob("*") if path.is_dir())):
        assert len(list(each.glob("*.py"))) <= (8 if each == package else 10), each


@pytest.mark.parametrize("file", sorted(SRC.rglob("*.py")), ids=lambda file: str(file.relative_to(SRC)))
def test_only_the_runtime_imports_javascript_modules(file: Path) -> None:
    """Only entry.py and signup/runtime import `js`, `pyodide` and `workers`."""
    foreign = {name.split(".")[0] for name in imports(file)} & JAVASCRIPT
    assert not foreign or file == SRC / "entry.py" or file.parent == SRC / "signup" / "runtime"


def diagram_arrows() -> set[tuple[str, str]]:
    """Return the arrows of the Worker's diagram, which are lines like `a --> b & c`."""
    begin = r"^```mermaid\nflowchart TB\n  %% imports of signup\n"
    (block,) = re.findall(begin + r"(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^\s*(\w+) --> ([\w &]+)$", block, re.MULTILINE)
    return {(source, target) for source, targets in lines for target in targets.split(" & ")}


def test_the_diagram_matches_the_imports() -> None:
    """docs/architecture.md has exactly the dependencies between the Worker's folders."""
    assert diagram_arrows() == {("entry", "runtime")} | dependencies(SRC / "signup")


def test_importing_uses_no_randomness_sockets_or_file_writes() -> None:
    """All modules except entry.py and the runtime can be imported while randomness, sockets and file writes fail.

    workerd has no entropy while an isolate starts, and a snapshot would give every isolate the same random numbers.
    """
    modules = [
        ".".join(file.relative_to(SRC).with_suffix("").parts)
        for file in sorted(SRC.rglob("*.py"))
        if file.name != "entry.py" and file.parent.name != "runtime"
    ]
    script = f"""
import sys
# The imports of the standard library and of packages are not checked.
import httpx, pydantic, email_validator, jinja2, idna, json, uuid, traceback, hashlib, ipaddress
pydantic.BaseModel, pydantic.SecretStr, pydantic.AfterValidator, pydantic.ConfigDict, pydantic.ValidationInfo
pydantic.StringConstraints, pydantic.ValidationError
import pydantic.main
class Probe(pydantic.BaseModel):
    x: pydantic.SecretStr
def audit(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if writes or event.startswith(("socket.", "subprocess.", "os.putenv")):
        raise RuntimeError(event)
sys.addaudithook(audit)
import os, random, secrets
def refuse(*_):
    raise RuntimeError("entropy")
os.urandom = random.seed = random.random = secrets.token_bytes = uuid.uuid4 = refuse
for name in {modules!r}:
    __import__(name)
"""
    command = [sys.executable, "-B", "-c", script]
    completed = subprocess.run(command, cwd=SRC, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
