"""The variants of a build, and what is generated for a peer."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.workers.builds import BuildError, with_stock_httpx, without_hash
from bench.workers.bundle import gzip_kib
from bench.workers.prisma import for_workerd

ROOT = Path(__file__).parents[3]


def test_the_hash_is_replaced(tmp_path: Path) -> None:
    """Our own kdf.mjs has the function that is replaced; without it everything would be measured with the hash."""
    (tmp_path / "kdf.mjs").write_text((ROOT / "src" / "kdf.mjs").read_text())
    without_hash(tmp_path)
    assert "argon2_hash" not in (tmp_path / "kdf.mjs").read_text()
    with pytest.raises(BuildError, match="deriveArgon2id"):
        without_hash(tmp_path)


def test_a_transport_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Else ours would be measured against itself."""
    (tmp_path / "signup" / "runtime").mkdir(parents=True)
    (tmp_path / "signup" / "runtime" / "server.py").write_text("class Other: ...")
    with pytest.raises(BuildError, match="FetchTransport"):
        with_stock_httpx(tmp_path, tmp_path)


def test_prismas_client_is_for_workerd() -> None:
    """The project's own schema with another generator, and no other model."""
    schema = (ROOT / "prisma" / "schema.prisma").read_text()
    changed = for_workerd(schema)
    assert 'runtime  = "workerd"' in changed
    assert changed.count("generator ") == 1
    assert changed[changed.index("model User") :] == schema[schema.index("model User") :]
    with pytest.raises(ValueError, match="0 generators"):
        for_workerd("model User {}")


def test_wranglers_figure_is_read() -> None:
    """The compressed size; anything else is an error."""
    assert gzip_kib("...\nTotal Upload: 7135.67 KiB / gzip: 1940.48 KiB\n") == 1940.48
    with pytest.raises(RuntimeError, match="how large"):
        gzip_kib("Total Upload: much")
