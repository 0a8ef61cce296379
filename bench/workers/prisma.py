"""Generate Prisma Client for workerd from the project's schema, offline."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from typing import TYPE_CHECKING

from bench import ROOT
from bench.peers import node
from bench.workers.builds import FOLDER

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["client", "for_workerd"]

_GENERATOR = """\
generator client {
  provider = "prisma-client"
  output   = "./client"
  runtime  = "workerd"
}"""


def for_workerd(schema: str) -> str:
    """Return the schema with its generator replaced.

    Raises:
        ValueError: the schema does not have exactly one generator.
    """
    changed, count = re.subn(r"^generator \w+ \{.*?^\}", _GENERATOR, schema, flags=re.MULTILINE | re.DOTALL)
    if count != 1:
        raise ValueError(f"the schema has {count} generators")
    return changed


def client() -> Path:
    """Generate the client; return its main file."""
    folder = FOLDER / "prisma"
    folder.mkdir(parents=True, exist_ok=True)
    schema = folder / "schema.prisma"
    text = (ROOT / "prisma" / "schema.prisma").read_text(encoding="utf-8")
    schema.write_text(for_workerd(text), encoding="utf-8")
    with tempfile.TemporaryDirectory() as private:
        # Otherwise Prisma downloads an engine, which generating does not use. Any program will do.
        overrides = {"PRISMA_SCHEMA_ENGINE_BINARY": node(), "CHECKPOINT_DISABLE": "1"}
        done = subprocess.run(  # noqa: S603 - nothing of it comes from outside
            [node(), str(ROOT / "node_modules/prisma/build/index.js"), "generate", "--schema", str(schema)],
            cwd=ROOT,
            env={**os.environ, **overrides, "XDG_CACHE_HOME": private, "XDG_CONFIG_HOME": private},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"prisma generate failed:\n{done.stdout}{done.stderr}")
    return folder / "client" / "client.ts"
