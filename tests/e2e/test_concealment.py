"""DUPLICATE_RESPONSE=conceal on workerd."""

from pathlib import Path

from tests.e2e.conftest import Running, behind_a_relay, new_email


def test_new_and_known_addresses_are_answered_alike(worker: Running, state: Path) -> None:
    """Status, body, headers and, to the tick, time; and of two sign-ups with one address there is one user."""
    email = new_email()
    with behind_a_relay(worker, state / "conceal", DUPLICATE_RESPONSE="conceal") as (concealing, _):
        answers = [concealing.sign_up(email=address) for address in (email, email, new_email())]
    assert {(answer.status_code, answer.text) for answer in answers} == {(202, '{"msg":"Sign-up accepted"}')}
    own = {"x-request-id", "date"}
    assert len({tuple((k, v) for k, v in sorted(a.headers.items()) if k not in own) for a in answers}) == 1
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]
