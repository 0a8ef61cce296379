"""The statements that the Worker sends, as sqlproxy's allow-list has them."""

import json
import re
from pathlib import Path

from signup.registration.user_store import SIGN_UP
from signup.web.app import PING

ROOT = Path(__file__).parents[2]


# The statement of earlier Workers: sqlproxy is updated first, and serves both until the Worker is deployed.
PREVIOUS = """\
SELECT "id", "name", "email", to_char("created_at" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), "password" \
FROM "sign_up"($1, $2, $3, $4)\
"""


def test_the_allow_list_is_what_the_worker_sends() -> None:
    """`sqlproxy --allow-statements sqlproxy/worker-statements.json` runs the Worker's statements and no others."""
    assert json.loads((ROOT / "sqlproxy/worker-statements.json").read_text()) == [SIGN_UP, PING, PREVIOUS]


def test_no_statement_is_written_anywhere_else() -> None:
    """SQL stands in store.py and in the ping of app.py, so that the list is whole."""
    found = {file.name for file in (ROOT / "src").rglob("*.py") if re.search(r'execute\(\s*f?["\']', file.read_text())}
    assert found == set()
