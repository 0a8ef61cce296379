"""The Worker's statements and sqlproxy's allow-list."""

import json
import re
from pathlib import Path

from signup.outbox.store import CLAIM, COUNTS, FAIL, FINISH
from signup.registration.user_store import SIGN_UP, SIGN_UP_RECORDED, SIGN_UP_WITH_DETAILS
from signup.verification.store import REMOVE, REQUEST, VERIFY
from signup.web.app import PING

ROOT = Path(__file__).parents[2]


# The statement of earlier Workers. sqlproxy is updated first and serves both until the Worker is deployed.
PREVIOUS = """\
SELECT "id", "name", "email", to_char("created_at" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), "password" \
FROM "sign_up"($1, $2, $3, $4)\
"""


def test_the_allow_list_matches_the_workers_statements() -> None:
    """sqlproxy/worker-statements.json contains the Worker's statements and no others."""
    messages, verification = (CLAIM, FINISH, FAIL, COUNTS), (VERIFY, REMOVE, REQUEST)
    expected = [SIGN_UP, PING, SIGN_UP_RECORDED, *messages, *verification, SIGN_UP_WITH_DETAILS, PREVIOUS]
    assert json.loads((ROOT / "sqlproxy/worker-statements.json").read_text()) == expected


def test_no_other_statement_is_executed() -> None:
    """No call of `execute` has a literal statement; all are the constants in the list."""
    found = {file.name for file in (ROOT / "src").rglob("*.py") if re.search(r'execute\(\s*f?["\']', file.read_text())}
    assert found == set()
