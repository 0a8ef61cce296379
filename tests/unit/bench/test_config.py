"""workerd's configuration."""

from __future__ import annotations

import tomllib
from pathlib import Path, PurePosixPath

import pytest

from bench import ROOT
from bench.workers.config import Worker, kind, members, render
from bench.workers.workerd import ours


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("entry.py", "pythonModule"),
        ("signup/web/app.py", "pythonModule"),
        ("edge.mjs", "esModule"),
        ("query.wasm", "wasm"),
        ("signup/pages/sign_up_page.html", "text"),
        ("python_modules/httpx/_client.py", "data"),
        ("python_modules/pydantic_core/_pydantic_core.cpython-314-wasm32-emscripten.so", "data"),
        ("python_modules/workers/workflows.js", "esModule"),
        ("python_modules/a.pth", "data"),
    ],
)
def test_modules_have_the_kinds_that_wrangler_gives_them(name: str, expected: str) -> None:
    """What is vendored becomes files, JavaScript excepted."""
    assert kind(name) == expected


def test_the_main_module_comes_first() -> None:
    """And what wrangler or a run before left in the folder is no module."""
    files = ["signup/a.py", "entry.py", "README.md", "config.capnp", "main.mjs.map", "edge.mjs"]
    assert members([PurePosixPath(name) for name in files], "entry.py") == ["entry.py", "edge.mjs", "signup/a.py"]


def test_the_configuration_has_everything_in_it() -> None:
    """Modules, date, flags and bindings, with quotes and backslashes escaped."""
    worker = Worker(Path("x"), "entry.py", "2026-11-17", ("python_workers", "experimental"), {"A": 'say "\\"'})
    text = render(worker, ["entry.py", "edge.mjs"])
    assert '(name = "entry.py", pythonModule = embed "entry.py"),\n    (name = "edge.mjs", esModule' in text
    assert 'compatibilityDate = "2026-11-17"' in text
    assert 'compatibilityFlags = ["python_workers", "experimental"]' in text
    assert r'bindings = [(name = "A", text = "say \"\\\"")]' in text
    assert 'address = "127.0.0.1:0"' in text
    assert ("extensions" in text, "v8Flags = []" in text) == (False, True)


def test_limits_and_a_bounded_heap_are_configured() -> None:
    """Rate limiting bindings by a stand-in, and a flag of V8's."""
    text = render(Worker(Path("x"), "entry.py", "d", (), {"A": "b"}, limited=True, heap_mib=24), ["entry.py"])
    assert 'v8Flags = ["--max-heap-size=24"]' in text
    assert '(name = "CLIENT_LIMIT", wrapped = (moduleName = "bench:limiter"))' in text
    assert 'extensions = [(modules = [(name = "bench:limiter", internal = true, esModule = "export default' in text


def test_what_cannot_be_written_is_refused() -> None:
    """A character whose escape the two formats write differently is an error, and not another text."""
    with pytest.raises(ValueError, match="printable ASCII"):
        render(Worker(Path("x"), "entry.py", "d", (), {"A": "é"}), ["entry.py"])


def test_ours_is_configured_as_it_is_deployed() -> None:
    """Date and flags are those of wrangler.toml; what a local Pyodide needs comes to them."""
    deployed = tomllib.loads((ROOT / "wrangler.toml").read_text())
    worker = ours(Path("x"), "entry.py", {})
    assert worker.date == deployed["compatibility_date"]
    assert worker.flags == (*deployed["compatibility_flags"], "python_workers_development", "experimental")
