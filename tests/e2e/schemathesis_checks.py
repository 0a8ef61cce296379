"""Hooks and checks for Schemathesis, which imports this module in its own process."""

from itertools import cycle
from typing import Any

import schemathesis

# Error codes that a value may have although it matches the schema. Lengths are counted in NFC and after trimming. The
# schema does not express character classes, or passwords built from other fields, and its e-mail format allows more
# addresses.
BEYOND_THE_SCHEMA = {
    *("too_short", "too_long", "control_character", "invisible_character", "mixed_scripts", "not_an_email_address"),
    *("compatibility_character", "reserved_domain"),
    *(
        "email_domain_refused",
        "subaddress_refused",
        "too_common",
        "built_from_name",
        "built_from_email",
        "built_from_service_name",
    ),
}


_PREFERS_HTML = {method: cycle((True, False)) for method in ("GET", "HEAD")}


@schemathesis.hook
def before_call(_ctx: schemathesis.HookContext, case: schemathesis.Case[Any], _kwargs: dict[str, Any]) -> None:
    """Make requests for the page accept HTML and JSON in turn. Requests that accept only JSON get 406."""
    if case.operation.path == "/" and case.method in _PREFERS_HTML:
        case.headers["accept"] = "text/html" if next(_PREFERS_HTML[case.method]) else "application/json"


@schemathesis.check
def rejected_only_for_rules_beyond_the_schema(
    _ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """Check that data that matches the schema gets 422 only with codes in `BEYOND_THE_SCHEMA`, or for a reused key."""
    is_positive = case.meta is not None and case.meta.generation.mode == schemathesis.GenerationMode.POSITIVE
    if not is_positive or response.status_code != 422:
        return
    problem = response.json()
    codes = {error["code"] for error in problem.get("errors", ())}
    # An earlier request used the same key with a different body.
    if problem["code"] != "idempotency_mismatch" and not (codes and codes <= BEYOND_THE_SCHEMA):
        raise AssertionError(f"{codes}: the schema should reject this")
