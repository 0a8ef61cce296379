"""The contenders' builds, below ``.local/bench``: ours as it would be uploaded, and variants of it that are no setting.

A variant is a copy in which one thing is replaced. What is replaced is looked for by name, and an error says so when it
is not there; that the hash of a build is what it should be is checked in the table too.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from bench import ROOT
from bench.peers import node
from bench.workers.config import VENDORED

__all__ = ["FOLDER", "SDK", "javascript", "python", "variant", "without_hash"]

FOLDER = ROOT / ".local" / "bench"
PEERS = Path(__file__).with_name("peers")
# Of what is vendored, what every Python Worker needs.
SDK = ("workers", "_workers_sdk")
STOCK_HTTPX = ("anyio", "certifi", "h11", "httpcore", "idna")

# In place of kdf.mjs: one crossing between Python and JavaScript, as the real one has it, and a constant key.
_CONSTANT = """\
export async function deriveArgon2id(password, salt, memory, passes, lanes, length) {
  return new Uint8Array(length);
}
"""
_STOCK = '''

class FetchTransport(httpx.AsyncBaseTransport):
    """httpx's own sockets: a new client for each request, since a kept one fails at the next. TLS costs it nothing."""

    TLS: Any = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        import ssl

        if FetchTransport.TLS is None:
            FetchTransport.TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        transport = httpx.AsyncHTTPTransport(verify=FetchTransport.TLS, trust_env=False)
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            answer = await client.request(
                request.method, request.url, headers=request.headers, content=await request.aread()
            )
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content, request=request)
'''


class BuildError(Exception):
    """A contender cannot be built; the message says why."""


def variant(name: str, source: Path) -> Path:
    """Copies a build; returns the new folder."""
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.capnp"))
    return folder


def without_hash(folder: Path) -> None:
    """Replace the hash of a copy of ours by a constant.

    Raises:
        BuildError: kdf.mjs exports no `deriveArgon2id`.
    """
    kdf = folder / "kdf.mjs"
    if "export function deriveArgon2id(" not in kdf.read_text(encoding="utf-8"):
        raise BuildError("kdf.mjs exports no deriveArgon2id(), which bench/workers/builds.py replaces by a constant")
    kdf.write_text(_CONSTANT, encoding="utf-8")


def with_stock_httpx(folder: Path, packages: Path) -> None:
    """Replaces the transport of a copy of ours by httpx's own, and puts what that imports beside it.

    Args:
        folder: The copy.
        packages: Where httpx is installed with all that it needs.

    Raises:
        BuildError: signup/runtime/server.py has no ``FetchTransport``.
    """
    edge = folder / "signup" / "runtime" / "server.py"
    text = edge.read_text(encoding="utf-8")
    if "class FetchTransport(" not in text:
        raise BuildError(
            "signup/runtime/server.py has no FetchTransport, which bench/workers/builds.py replaces by httpx's own"
        )
    edge.write_text(text + _STOCK, encoding="utf-8")
    _vendor(packages, folder, STOCK_HTTPX)


def put_hash(folder: Path, *, hashed: bool) -> None:
    """Puts the peers' hash into a Python Worker's folder, or the constant."""
    shutil.copy(_hash(hashed=hashed), folder / "hash.mjs")


def python(name: str, main: str, modules: Path, tops: tuple[str, ...] = SDK) -> Path:
    """Puts a Python peer together.

    Args:
        name: Of the folder.
        main: Its file in ``peers``.
        modules: Where packages were installed.
        tops: What the names of those begin with that it needs; empty for all.
    """
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(PEERS / main, folder / main)
    _vendor(modules, folder, tops)
    return folder


def javascript(name: str, main: str, *, hashed: bool, options: tuple[str, ...] = ()) -> Path:
    """Bundles a JavaScript peer, with the options that wrangler gives esbuild.

    Args:
        name: Of the folder.
        main: Its file in ``peers``.
        hashed: Whether it hashes, or has a constant in the place of that.
        options: Further ones of esbuild.

    Raises:
        BuildError: esbuild failed.
    """
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    command = [
        *(node(), str(ROOT / "node_modules/esbuild/bin/esbuild"), str(PEERS / main), "--bundle", "--format=esm"),
        *(f"--outfile={folder / 'main.mjs'}", "--target=es2024", "--conditions=workerd,worker,browser"),
        *(
            "--external:node:*",
            "--external:cloudflare:*",
            f"--alias:hash={_hash(hashed=hashed)}",
            "--loader:.wasm=copy",
        ),
        *('--define:process.env.NODE_ENV="production"', "--log-level=warning", *options),
    ]
    done = subprocess.run(command, cwd=PEERS, capture_output=True, text=True, check=False)  # noqa: S603 - nothing of it comes from outside
    if done.returncode:
        raise BuildError(f"esbuild failed for {main}:\n{done.stderr}")
    return folder


def _hash(*, hashed: bool) -> Path:
    return PEERS / ("hash.mjs" if hashed else "constant.mjs")


def _vendor(packages: Path, folder: Path, tops: tuple[str, ...]) -> None:
    vendored = folder / VENDORED
    vendored.mkdir(exist_ok=True)
    ignored = shutil.ignore_patterns("*.pyc", "__pycache__", "*.pyi", "py.typed", ".synced")
    for source in packages.iterdir():
        if source.name.startswith(tops or "") and not ignored(str(packages), [source.name]):
            if source.is_dir():
                shutil.copytree(source, vendored / source.name, ignore=ignored, dirs_exist_ok=True)
            else:
                shutil.copy(source, vendored / source.name)
