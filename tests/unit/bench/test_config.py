"""The generated configuration of workerd."""

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
def test_modules_have_the_types_that_wrangler_assigns(name: str, expected: str) -> None:
    """Vendored files are data, except JavaScript."""
    assert kind(name) == expected


def test_the_main_module_comes_first() -> None:
    """README.md, source maps and configuration files are not modules."""
    files = ["signup/a.py", "entry.py", "README.md", "config.capnp", "main.mjs.map", "edge.mjs"]
    assert members([PurePosixPath(name) for name in files], "entry.py") == ["entry.py", "edge.mjs", "signup/a.py"]


def test_the_configuration_has_modules_date_flags_and_bindings() -> None:
    """Quotes and backslashes are escaped."""
    worker = Worker(Path("x"), "entry.py", "2026-11-17", ("python_workers", "experimental"), {"A": 'say "\\"'})
    text = render(worker, ["entry.py", "edge.mjs"])
    assert '(name = "entry.py", pythonModule = embed "entry.py"),\n    (name = "edge.mjs", esModule' in text
    assert 'compatibilityDate = "2026-11-17"' in text
    assert 'compatibilityFlags = ["python_workers", "experimental"]' in text
    assert r'bindings = [(name = "A", text = "say \"\\\"")]' in text
    assert 'address = "127.0.0.1:0"' in text
    assert ("extensions" in text, "v8Flags = []" in text) == (False, True)


def test_rate_limits_and_a_heap_limit_are_configured() -> None:
    """The rate limiting bindings are fakes, and a V8 flag limits the heap."""
    text = render(Worker(Path("x"), "entry.py", "d", (), {"A": "b"}, limited=True, heap_mib=24), ["entry.py"])
    assert 'v8Flags = ["--max-heap-size=24"]' in text
    assert '(name = "CLIENT_LIMIT", wrapped = (moduleName = "bench:limiter"))' in text
    assert 'extensions = [(modules = [(name = "bench:limiter", internal = true, esModule = "export default' in text


def test_a_hyperdrive_binding_connects_to_postgres() -> None:
    """The binding is of workerd's own type; the password is percent-decoded."""
    worker = Worker(Path("x"), "entry.py", "d", (), {"A": "b"}, hyperdrive="postgres://u:p%2Fw@127.0.0.1:5432/db")
    text = render(worker, ["entry.py"])
    connection = 'designator = "postgres", database = "db", user = "u", password = "p/w", scheme = "postgres"'
    assert f'(name = "HYPERDRIVE", hyperdrive = ({connection}))' in text
    assert '(name = "postgres", external = (address = "127.0.0.1:5432", tcp = ())),' in text


def test_a_binding_that_is_not_ascii_is_an_error() -> None:
    """JSON and Cap'n Proto escape characters outside printable ASCII differently."""
    with pytest.raises(ValueError, match="printable ASCII"):
        render(Worker(Path("x"), "entry.py", "d", (), {"A": "é"}), ["entry.py"])


def test_date_and_flags_match_wrangler_toml() -> None:
    """The flags for a local Pyodide are added."""
    deployed = tomllib.loads((ROOT / "wrangler.toml").read_text())
    worker = ours(Path("x"), "entry.py", {})
    assert worker.date == deployed["compatibility_date"]
    assert worker.flags == (*deployed["compatibility_flags"], "python_workers_development", "experimental")
