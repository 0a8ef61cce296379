"""What ``wrangler deploy`` would upload: its files and its size."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

from bench import ROOT
from bench.peers import node

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["gzip_kib", "upload"]


def upload(folder: Path) -> str:
    """Writes what would be uploaded into a folder, anew; returns what wrangler says.

    Raises:
        RuntimeError: Wrangler failed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as private:
        # wrangler would write its logs and settings into the home directory.
        own = {"XDG_CONFIG_HOME": private, "WRANGLER_LOG_PATH": private, "TMPDIR": private, "NO_COLOR": "1"}
        command = [node(), "--no-warnings", str(ROOT / "node_modules/wrangler/wrangler-dist/cli.js")]
        done = subprocess.run(  # noqa: S603 - nothing of it comes from outside
            [*command, "deploy", "--dry-run", "--outdir", str(folder), "--env", ""],
            cwd=ROOT,
            env={**os.environ, **own, "WRANGLER_SEND_METRICS": "false"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"wrangler failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def gzip_kib(printed: str) -> float:
    """The size of the upload when it is compressed, in KiB, as wrangler says it.

    Raises:
        RuntimeError: It does not say so.
    """
    found = re.search(r"Total Upload: [\d.]+ KiB / gzip: ([\d.]+) KiB", printed)
    if found is None:
        raise RuntimeError(f"wrangler does not say how large the upload is:\n{printed}")
    return float(found[1])
