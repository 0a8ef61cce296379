"""Add the Hyperdrive binding and the modules of its driver to wrangler.toml."""

BINDING = "HYPERDRIVE"
# wrangler reads the URL of the binding's local database from this variable, so that no file contains its password.
LOCAL_URL = f"CLOUDFLARE_HYPERDRIVE_LOCAL_CONNECTION_STRING_{BINDING}"
_RULE = 'globs = ["edge.mjs", "kdf.mjs"]'
_DRIVER = 'globs = ["edge.mjs", "kdf.mjs", "hyperdrive.mjs", "pg.mjs"]'
_TABLE = f"""
[[hyperdrive]]
binding = "{BINDING}"
id = "local"
"""


def with_hyperdrive(config: str) -> str:
    """Return the text of a wrangler.toml with the binding and the driver added, as docs/deploy.md describes."""
    return config.replace(f"\n{_RULE}", f"\n{_DRIVER}") + _TABLE
