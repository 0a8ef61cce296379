"""Links between documents of the repository: files and headings exist."""

import re
import subprocess
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
# The document from which every document in docs/ must be reachable.
START_PAGE = ROOT / "README.md"
_CODE = re.compile(r"^```.*?^```$|^(?: {4}|\t)[^\n]*$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")


def documents() -> list[Path]:
    """Return the repository's Markdown files, except those that Git ignores."""
    command = ["/usr/bin/env", "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).exists()]


def anchors(text: str) -> set[str]:
    """Return the anchors of a text's headings, as GitHub generates them."""
    counts: Counter[str] = Counter()
    names: set[str] = set()
    for title in re.findall(
        r"^#{1,6} +(.*?) *#*$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    ):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        names.add(f"{anchor}-{counts[anchor]}" if counts[anchor] else anchor)
        counts[anchor] += 1
    return names


def links(text: str) -> list[str]:
    """Return the targets of a text's links within the repository."""
    return [link for link in _LINK.findall(_CODE.sub("", text)) if not re.match(r"[a-z]+:", link)]


def broken(document: Path, text: str) -> list[str]:
    """Return the broken links of a document with this text."""
    broken_links = []
    for link in links(text):
        path, _, anchor = link.partition("#")
        target = (document.parent / unquote(path)).resolve() if path else document
        content = text if target == document else target.read_text(encoding="utf-8") if target.is_file() else ""
        if not target.exists() or not target.is_relative_to(ROOT) or (anchor and anchor not in anchors(content)):
            broken_links.append(link)
    return broken_links


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_are_not_broken(document: Path) -> None:
    """Linked files and headings exist."""
    assert not broken(document, document.read_text(encoding="utf-8"))


def test_every_document_in_docs_is_reachable_from_the_readme() -> None:
    """The README links to each document directly or through other documents. Subfolders of docs/ are not checked."""
    reached, unvisited = set[Path](), {START_PAGE}
    while unvisited:
        document = unvisited.pop()
        reached.add(document)
        targets = {(document.parent / link.partition("#")[0]).resolve() for link in links(document.read_text())}
        unvisited |= {target for target in targets if target.suffix == ".md"} - reached
    assert {path for path in documents() if path.parent == ROOT / "docs"} <= reached


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](README.md) [b](docs/) [c](docs/img/pool-demo.md)", []),
        ("# A `title`, twice\n# A title twice\n[a](#a-title-twice) [b](#a-title-twice-1)", []),
        ("[a](#a-title-twice)", ["#a-title-twice"]),
        ("[a](nothing.md) `[b](nothing.md)`", ["nothing.md"]),
        ("[a](README.md#nothing)", ["README.md#nothing"]),
        ("[a](https://example.com/nothing)", []),
        ("[`a`](nothing/) [![b](nothing.svg)](nothing.html)", ["nothing/", "nothing.html"]),
        ("    [code](nothing)\n\n[a](nothing.md)", ["nothing.md"]),
        ("[a](../../etc/passwd)", ["../../etc/passwd"]),
    ],
)
def test_a_broken_link_is_reported(text: str, expected: list[str]) -> None:
    """Missing files and headings and paths outside the repository are broken; links in code are ignored."""
    assert broken(ROOT / "CHANGELOG.md", text) == expected
