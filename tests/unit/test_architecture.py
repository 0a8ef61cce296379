"""The size of folders, and the imports between them, which docs/architecture.md describes."""

import ast
import functools
import re
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
        targets = {name.split(".")[1] for name in imports(file) if name.startswith(f"{package.name}.")}
        pairs |= {(folder(package, file), target) for target in targets}
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
    """In src, only entry.py and signup/runtime import modules of Pyodide and workerd."""
    javascript_imports = {name.split(".")[0] for name in imports(file)} & JAVASCRIPT
    assert not javascript_imports or file == SRC / "entry.py" or file.parent == SRC / "signup" / "runtime"


def diagram_arrows() -> set[tuple[str, str]]:
    """Return the arrows of the Worker's diagram, which are lines like `a --> b & c`."""
    begin = r"^```mermaid\nflowchart TB\n  %% imports of signup\n"
    (block,) = re.findall(begin + r"(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^\s*(\w+) --> ([\w &]+)$", block, re.MULTILINE)
    return {(source, target) for source, targets in lines for target in targets.split(" & ")}


def test_the_diagram_matches_the_imports() -> None:
    """The diagram has exactly the dependencies between the folders and modules of signup, and `entry --> runtime`."""
    assert diagram_arrows() == {("entry", "runtime")} | dependencies(SRC / "signup")
