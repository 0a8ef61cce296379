"""wrangler.toml with a Hyperdrive binding."""

import tomllib

from devstack.setup.bootstrap import ROOT
from devstack.stack.hyperdrive import with_hyperdrive


def test_the_binding_and_its_driver_are_added() -> None:
    """Nothing else changes, and the comment in wrangler.toml lists the same modules."""
    text = (ROOT / "wrangler.toml").read_text(encoding="utf-8")
    before, after = tomllib.loads(text), tomllib.loads(with_hyperdrive(text))
    assert after.pop("hyperdrive") == [{"binding": "HYPERDRIVE", "id": "local"}]
    assert after["rules"][0].pop("globs") == [*before["rules"][0].pop("globs"), "hyperdrive.mjs", "pg.mjs"]
    assert after == before
    assert '# For Hyperdrive: globs = ["edge.mjs", "kdf.mjs", "hyperdrive.mjs", "pg.mjs"]' in text
