"""The upload of `wrangler deploy`, according to its dry run."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from devstack.setup.bootstrap import ARGON2, BIN, ROOT

# All names that the upload contains directly below python_modules/.
IMPORTED = {
    *(
        "annotated_types",
        "email_validator",
        "httpx",
        "idna",
        "jinja2",
        "markupsafe",
        "pydantic",
        "pydantic_core",
        "typing_extensions.py",
    ),
    *("typing_inspection", "workers"),
    # workerd runs these at start-up for the package `workers`.
    *("_workers_sdk_patch_loader.pth", "_workers_sdk_patch_loader.py", "_workers_sdk_entropy_import_context.py"),
    "_workers_sdk_package_patches.py",
}


# Modules that are uploaded only if wrangler.toml lists them (docs/deploy.md).
HYPERDRIVE = {"hyperdrive.mjs", "pg.mjs"}

# Suffixes of uploaded files outside python_modules/.
SUFFIXES = {".py", ".mjs", ".html", ".txt", ".wasm"}


WRANGLER = str(ROOT / "node_modules" / ".bin" / "wrangler")


class Upload(NamedTuple):
    """The output of a dry run, and the folder with the files that it would upload."""

    printed: str
    folder: Path

    @property
    def files(self) -> set[str]:
        """The paths of the files, relative to the folder."""
        return {str(file.relative_to(self.folder)) for file in self.folder.rglob("*") if file.is_file()}


def dry_run(home: Path, *command: str) -> Upload:
    """Run a deploy command as a dry run; wrangler writes the upload, its logs and its settings to the folder `home`."""
    wrangler_variables = {"XDG_CONFIG_HOME": str(home), "WRANGLER_LOG_PATH": str(home), "TMPDIR": str(home)}
    env = os.environ | wrangler_variables | {"PATH": f"{BIN}:{os.environ['PATH']}", "WRANGLER_SEND_METRICS": "false"}
    outdir = home / "out"
    completed = subprocess.run(
        [*command, "deploy", "--dry-run", "--outdir", str(outdir)],
        cwd=ROOT,
        env=env | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return Upload(completed.stdout + completed.stderr, outdir)


@pytest.fixture(scope="module")
def upload(tmp_path_factory: pytest.TempPathFactory) -> Upload:
    """Run a dry run for the top-level environment; return its output and files."""
    return dry_run(tmp_path_factory.mktemp("upload"), WRANGLER, "--env", "")


def test_a_dry_run_succeeds(upload: Upload) -> None:
    """The dry run prints no warnings. tests/contract/docs tests the other environments and pywrangler."""
    assert "--dry-run: exiting now" in upload.printed
    assert "WARNING" not in upload.printed


def test_the_bundle_contains_only_packages_that_the_worker_imports(upload: Upload) -> None:
    """The bundle contains the Worker's modules, but no packages for sockets or DNS and no package metadata."""
    files = upload.files
    sources = {str(file.relative_to(ROOT / "src")) for file in (ROOT / "src").rglob("*") if file.suffix in SUFFIXES}
    assert {"entry.py", "edge.mjs", "kdf.mjs", "argon2.wasm", *HYPERDRIVE} <= sources
    assert sources - HYPERDRIVE <= files
    assert files.isdisjoint(HYPERDRIVE)
    # A line in wrangler's table of modules.
    assert re.search(r"argon2\.wasm +│ compiled-wasm +│ 28\.\d+ KiB", upload.printed)
    vendored = {name.split("/")[1] for name in files if name.startswith("python_modules/")}
    assert vendored == IMPORTED
    assert re.search(r"Total Upload: [\d.]+ KiB / gzip: [\d.]+ KiB", upload.printed)


def test_the_build_fails_without_the_argon2_package(tmp_path: Path) -> None:
    """The build command reports the missing npm package, and wrangler prepares no upload."""
    for name in ("src", "python_modules", "public"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "wrangler.toml", tmp_path)
    (tmp_path / ARGON2).parent.mkdir(parents=True)
    shutil.copy(ROOT / ARGON2, tmp_path / ARGON2)
    command = [WRANGLER, "deploy", "--dry-run", "--env", ""]
    wrangler_variables = {
        "XDG_CONFIG_HOME": str(tmp_path),
        "WRANGLER_LOG_PATH": str(tmp_path),
        "WRANGLER_SEND_METRICS": "false",
    }
    env = os.environ | wrangler_variables | {"PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1"}
    completed = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert completed.returncode != 0
    printed = completed.stdout + completed.stderr
    assert "argon2.wasm: node_modules/@phi-ag/argon2/dist/argon2.wasm is missing" in printed
    assert "Running custom build `node devstack/setup/argon2.mjs` failed" in printed
    assert "Total Upload" not in printed


def test_the_bundle_is_complete(upload: Upload) -> None:
    """Every module that the Worker imports, at start-up or later, is uploaded."""
    script = ROOT / "tests" / "e2e" / "imported.mjs"
    completed = subprocess.run(
        [BIN / "node", script, upload.folder], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert completed.returncode == 0, completed.stderr[-2000:]
    imported = set(json.loads(completed.stdout))
    files = upload.files
    assert {name for name in files if re.fullmatch(r"(entry|signup/.*)\.py", name)} <= imported <= files


def test_the_assets_are_uploaded(upload: Upload) -> None:
    """The API page's own files and those of Swagger UI are uploaded as assets and not in the bundle."""
    # wrangler also counts folders.
    entries = {str(entry.relative_to(ROOT / "public")) for entry in (ROOT / "public").rglob("*")}
    assert {"docs/index.html", "docs/init.js", "docs/swagger-ui-bundle.js", "docs/swagger-ui.css"} <= entries
    assert f"Read {len(entries)} files from the assets directory {ROOT / 'public'}" in upload.printed
    assert not {name for name in upload.files if name.startswith("public/")}
