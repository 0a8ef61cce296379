"""The Worker's statements and sqlproxy's allow-list."""

import json
import re
from pathlib import Path

from signup.outbox.store import CLAIM, COUNTS, FAIL, FINISH
from signup.registration.user_store import SIGN_UP, SIGN_UP_RECORDED, SIGN_UP_WITH_DETAILS
from signup.verification.store import REMOVE, REQUEST, VERIFY
from signup.web.app import PING

ROOT = Path(__file__).parents[2]


# The statement of the first version of the Worker. sqlproxy is updated before the Worker, so it must still accept
# earlier statements.
FIRST_STATEMENT = """\
SELECT "id", "name", "email", to_char("created_at" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), "password" \
FROM "sign_up"($1, $2, $3, $4)\
"""
# Earlier versions of the Worker had fewer fields. Their statements select columns of a function that creates a user.
EARLIER_STATEMENT = re.compile(
    r"""SELECT\ (?:(?!\ FROM\ )[^;])+\ FROM\ (?:\(VALUES\ \(\$\d::text\)\)\ AS\ "asked"\("key"\)\ LEFT\ JOIN\ )?
        "sign_up(?:_recorded)?"\(\$\d(?:,\ \$\d)*\)(?:\ ON\ true)?""",
    re.VERBOSE,
)


def test_the_allow_list_matches_the_workers_statements() -> None:
    """The list contains the statements of this version. Its other statements have the form of an earlier sign-up."""
    listed = json.loads((ROOT / "sqlproxy/worker-statements.json").read_text())
    sign_ups = {SIGN_UP, SIGN_UP_RECORDED, SIGN_UP_WITH_DETAILS}
    current = sign_ups | {PING, CLAIM, FINISH, FAIL, COUNTS, VERIFY, REMOVE, REQUEST}
    assert len(listed) == len(set(listed))
    # The benchmarks run the first statement.
    assert listed[0] == SIGN_UP
    assert current | {FIRST_STATEMENT} <= set(listed)
    assert all(EARLIER_STATEMENT.fullmatch(each) for each in {*listed} - current | sign_ups)


def test_no_call_of_execute_has_a_literal_statement() -> None:
    """Statements are constants, which the test above compares with the list."""
    literals = {
        file.name for file in (ROOT / "src").rglob("*.py") if re.search(r'execute\(\s*f?["\']', file.read_text())
    }
    assert literals == set()
