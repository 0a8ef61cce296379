"""docs/architecture.md draws what the code imports, and nothing else."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = ("bench", "devstack", "fuzz", "src", "sqlproxy", "tests")

Edges = set[tuple[str, str]]


def diagrams() -> list[str]:
    """Return the page's flowcharts, in order: the modules of the Worker, the packages."""
    blocks = re.findall(r"^```mermaid\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [block for block in blocks if block.startswith("flowchart") and "%% imports" in block]


def drawn(diagram: str) -> tuple[dict[str, str], Edges]:
    """Return which node each name in a label belongs to, and the arrows.

    A node is `id["name · name"]`, its names between dots; an arrow is `a --> b`, or `a & b --> c & d`.
    """
    group_of: dict[str, str] = {}
    for node, label in re.findall(r'(\w+)\["(.*?)"\]', diagram):
        for name in label.split("<br>")[-1].split(" · "):
            assert name not in group_of, f"{name} is drawn twice"
            group_of[name] = node
    edges: Edges = set()
    for sources, targets in re.findall(r"^\s*([\w &]+?) --> ([\w &]+)$", diagram, re.MULTILINE):
        for source in sources.split(" & "):
            for target in targets.split(" & "):
                assert (source, target) not in edges, f"{source} --> {target} is drawn twice"
                edges.add((source, target))
    assert {node for edge in edges for node in edge} <= set(group_of.values())
    return group_of, edges


def imported(file: Path) -> Iterator[list[str]]:
    """Yield the parts of the full name of everything that a file imports, also for the type checker alone."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ([*node.module.split("."), alias.name] for alias in node.names)


def worker_imports() -> dict[str, set[str]]:
    """Return the modules of the Worker with the modules of it that each imports; a package counts as one."""
    found: dict[str, set[str]] = {}
    for file in (ROOT / "src").rglob("*.py"):
        parts = file.relative_to(ROOT / "src").with_suffix("").parts
        if parts == ("signup", "__init__"):
            continue
        names = found.setdefault(parts[0] if parts[0] != "signup" else parts[1], set())
        names |= {name[1] for name in imported(file) if name[0] == "signup" and len(name) > 1}
    return found


def package_imports() -> dict[str, set[str]]:
    """Return the repository's packages with the packages of it that each imports."""
    found: dict[str, set[str]] = {}
    for package in PACKAGES:
        used = {name[0] for file in (ROOT / package).rglob("*.py") for name in imported(file)}
        found[package] = {"src" if name in ("signup", "entry") else name for name in used} & set(PACKAGES)
    return found


def differences(diagram: str, real: Mapping[str, set[str]]) -> list[str]:
    """Return what a diagram lacks, and what it has that is not so."""
    group_of, arrows = drawn(diagram)
    wrong = [f"not drawn: {name}" for name in real.keys() - group_of.keys()]
    wrong += [f"drawn, but not there: {name}" for name in group_of.keys() - real.keys()]
    if wrong:
        return sorted(wrong)
    edges = {(group_of[a], group_of[b]) for a, others in real.items() for b in others if group_of[a] != group_of[b]}
    wrong += [f"no arrow: {a} --> {b}" for a, b in edges - arrows]
    return sorted(wrong + [f"no import: {a} --> {b}" for a, b in arrows - edges])


def test_the_modules_are_drawn_as_they_import_each_other() -> None:
    """Each module of the Worker is in one group, and the arrows between groups are the imports, all and no more."""
    assert not differences(diagrams()[0], worker_imports())


def test_the_packages_are_drawn_as_they_import_each_other() -> None:
    """The same for the repository's packages."""
    assert not differences(diagrams()[1], package_imports())


@pytest.mark.parametrize(
    ("diagram", "said"),
    [
        ('a["x"] \n b["y"]\n a --> b', []),
        ('a["x"] \n b["y"]', ["no arrow: a --> b"]),
        ('a["x"] \n b["y"]\n a --> b\n b --> a', ["no import: b --> a"]),
        ('a["the inner<br>x · y"]', []),
        ('a["x"]', ["not drawn: y"]),
        ('a["x"] \n b["y · z"]\n a --> b', ["drawn, but not there: z"]),
    ],
)
def test_a_wrong_diagram_is_told(diagram: str, said: list[str]) -> None:
    """A missing arrow, one too many, a module that is not drawn, and one that is not there."""
    assert differences(diagram, {"x": {"y"}, "y": set()}) == said
