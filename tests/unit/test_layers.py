"""The rules that hold the layers together, read off the imports."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
FILES = sorted(SRC.rglob("*.py"))
OUTERMOST = {"entry.py", "signup/edge.py"}
# What each module of the package may import of it: dependencies point inwards.
ALLOWED = {
    "problems": set[str](),
    "peppers": {"problems"},
    "passwords": {"peppers", "problems"},
    "hashing": {"passwords", "problems"},
    "characters": set[str](),
    "addresses": {"characters"},
    "urls": {"problems"},
    "settings": {"passwords", "peppers", "problems", "urls"},
    "jsonbody": {"problems"},
    "common_passwords": set[str](),
    "policy": {"common_passwords"},
    "models": {"addresses", "characters", "passwords", "policy", "problems"},
    "http": set[str](),
    "proxies": {"http", "jsonbody", "problems", "proxies", "urls"},
    "circuit": {"problems"},
    "resilience": {"circuit", "problems", "proxies"},
    "store": {"models", "problems", "proxies"},
    "service": {"models", "passwords", "problems", "store"},
    "breaches": {"circuit", "http", "problems", "proxies", "service", "urls"},
    "turnstile": {"http", "jsonbody", "models", "problems", "service", "settings"},
    "concealment": set[str](),
    "limits": {"problems", "service"},
    "origins": {"problems"},
    "https": {"urls"},
    "app": {"concealment", "https", "jsonbody", "limits", "origins", "models", "problems", "proxies", "service"},
    "wiring": {
        *(
            "app",
            "breaches",
            "hashing",
            "http",
            "jsonbody",
            "limits",
            "models",
            "origins",
            "passwords",
            "proxies",
            "resilience",
            "service",
        ),
        *("openapi", "people", "settings", "store", "turnstile"),
    },
    "negotiation": set[str](),
    "colours": set[str](),
    "english": set[str](),
    "german": {"english"},
    "languages": {"english", "german"},
    "forms": {"app", "jsonbody", "problems"},
    "frame": {"colours", "english", "settings"},
    "page": {"english", "forms", "frame", "models", "passwords", "settings"},
    "people": {"app", "forms", "languages", "negotiation", "page", "problems", "settings"},
    "openapi_answers": {"app", "https", "models", "negotiation", "origins", "problems"},
    "openapi_page": {"app", "forms", "negotiation", "openapi_answers", "settings"},
    "openapi": {"app", "models", "openapi_answers", "openapi_page", "origins", "problems", "settings"},
    "edge": {"app", "limits", "passwords", "problems", "wiring"},
}


def imports(file: Path) -> Iterator[str]:
    """Yield the full name of everything that a file imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SRC)))
def test_only_the_edge_touches_workerd(file: Path) -> None:
    """`js`, `pyodide` and `workers` are imported by edge.py and entry.py alone."""
    foreign = {name.split(".")[0] for name in imports(file)} & {"js", "pyodide", "workers", "pyodide_js"}
    assert not foreign or str(file.relative_to(SRC)) in OUTERMOST


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SRC)))
def test_dependencies_point_inwards(file: Path) -> None:
    """A module imports only the modules that it may: the service knows neither HTTP nor a proxy's dialect."""
    module = file.relative_to(SRC).with_suffix("").parts
    if module == ("entry",) or module[1] == "__init__":
        return
    used = {name.split(".")[1] for name in imports(file) if name.startswith("signup.")}
    assert used <= ALLOWED[module[1]]


def test_importing_draws_no_randomness_and_does_no_io() -> None:
    """Everything but the edge is imported with entropy, sockets and files for writing out of reach.

    workerd refuses entropy while an isolate starts, and a snapshot would give every isolate the same.
    """
    modules = [
        ".".join(f.relative_to(SRC).with_suffix("").parts) for f in FILES if f.name not in ("entry.py", "edge.py")
    ]
    script = f"""
import sys
# What these import at the bottom is Python's and the packages' business.
import httpx, pydantic, email_validator, idna, json, uuid, traceback, hashlib, ipaddress
pydantic.BaseModel, pydantic.SecretStr, pydantic.AfterValidator, pydantic.ConfigDict, pydantic.ValidationInfo
pydantic.StringConstraints, pydantic.ValidationError
import pydantic.main
class Probe(pydantic.BaseModel):
    x: pydantic.SecretStr
def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if writes or event.startswith(("socket.", "subprocess.", "os.putenv")):
        raise RuntimeError(event)
sys.addaudithook(watch)
import os, random, secrets
def refuse(*_):
    raise RuntimeError("entropy")
os.urandom = random.seed = random.random = secrets.token_bytes = uuid.uuid4 = refuse
for name in {modules!r}:
    __import__(name)
"""
    command = [sys.executable, "-B", "-c", script]
    done = subprocess.run(command, cwd=SRC, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
