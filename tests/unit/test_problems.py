"""The exception hierarchy, and the codes and statuses of the API."""

from collections.abc import Iterator

from signup.problems import FieldError, Problem

CONTRACT = {
    "malformed_json": 400,
    "malformed_form": 400,
    "bad_idempotency_key": 400,
    "bad_verification_token": 400,
    "cross_origin_refused": 403,
    "https_required": 403,
    "sign_ups_closed": 403,
    "invitation_required": 403,
    "bad_invitation": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "body_timeout": 408,
    "verification_expired": 410,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "email_taken": 409,
    "validation_failed": 422,
    "idempotency_mismatch": 422,
    "rate_limited": 429,
    "misconfigured": 500,
    "internal": 500,
    "bot_check_unavailable": 503,
    "breach_check_unavailable": 503,
    "too_busy": 503,
    "proxy_busy": 503,
    "proxy_unavailable": 503,
    "proxy_timeout": 504,
}


def tree(root: type[Problem] = Problem) -> Iterator[type[Problem]]:
    """Yield a class and all its subclasses."""
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


def test_codes_and_statuses_match_the_contract() -> None:
    """Each code has one status."""
    assert {(each.code, each.status) for each in tree()} == set(CONTRACT.items())


def test_a_pointer_escapes_the_fields_name() -> None:
    """RFC 6901: `~` and `/` are written as `~0` and `~1`."""
    assert FieldError("a/b~1", "unknown_field").pointer == "/a~1b~01"
