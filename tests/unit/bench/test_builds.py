"""Variants of the Worker's build, and the Prisma schema of another contender."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.workers.builds import BuildError, for_workerd, with_scrypt, without_hash

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("change", "replacement"),
    [(with_scrypt, "() => scrypt(password, salt, 16384, 8, 5, length)"), (without_hash, "return")],
)
def test_the_hash_function_is_replaced(tmp_path: Path, change: Callable[[Path], None], replacement: str) -> None:
    """kdf.mjs calls Argon2id once; a missing call is an error, because the wrong hash would be measured."""
    kdf = tmp_path / "kdf.mjs"
    kdf.write_text((ROOT / "src" / "kdf.mjs").read_text())
    change(tmp_path)
    assert replacement in kdf.read_text()
    assert "=> argon2id(" not in kdf.read_text()
    with pytest.raises(BuildError, match="argon2id"):
        change(tmp_path)


def test_the_prisma_schema_is_adapted_to_workerd() -> None:
    """The generator changes, and the model stays the same. A schema without a generator is an error."""
    schema = (ROOT / "prisma" / "schema.prisma").read_text()
    changed = for_workerd(schema)
    assert 'runtime  = "workerd"' in changed
    assert changed.count("generator ") == 1
    assert changed[changed.index("model User") :] == schema[schema.index("model User") :]
    with pytest.raises(BuildError, match="0 generators"):
        for_workerd("model User {}")
