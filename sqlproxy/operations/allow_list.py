"""The allow-list of statements: it limits a stolen token to the statements that the application runs."""

from __future__ import annotations

import json
from pathlib import Path

from sqlproxy.errors import SettingError

__all__ = ["WORKER_STATEMENTS", "load_statements"]

# The statements of the sign-up Worker.
WORKER_STATEMENTS = str(Path(__file__).parents[1] / "worker-statements.json")


def load_statements(path: str) -> frozenset[bytes]:
    """Read an allow-list.

    Args:
        path: a JSON file with an array of statements, exactly as clients send them.

    Raises:
        SettingError: the file cannot be read, is not a JSON array of strings, or contains half of a surrogate pair.
    """
    try:
        statements = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as exc:
        raise SettingError(f"allow-statements: cannot read {path}: {type(exc).__name__}") from exc
    if not isinstance(statements, list) or not all(isinstance(statement, str) for statement in statements):
        raise SettingError(f"allow-statements: {path} must contain a JSON array of strings")
    try:
        return frozenset(statement.encode() for statement in statements)
    except UnicodeEncodeError as exc:
        raise SettingError(f"allow-statements: {path} contains half of a surrogate pair") from exc
