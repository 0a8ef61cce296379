"""Schemathesis' own process imports this: checks of ours beside its own."""

from itertools import cycle
from typing import Any

import schemathesis

# Codes of fields that are right by the schema: lengths are counted in NFC and after trimming, JSON Schema knows neither
# kinds of characters nor passwords that are built from something, and its format of addresses allows for more.
BEYOND_THE_SCHEMA = {
    *("too_short", "too_long", "control_character", "invisible_character", "mixed_scripts", "not_an_email_address"),
    *("compatibility_character", "reserved_domain"),
    *("subaddress_refused", "too_common", "built_from_name", "built_from_email", "built_from_service_name"),
}


_ASKS_FOR_THE_PAGE = {method: cycle((True, False)) for method in ("GET", "HEAD")}


@schemathesis.hook
def before_call(_ctx: schemathesis.HookContext, case: schemathesis.Case[Any], _kwargs: dict[str, Any]) -> None:
    """Ask for the page every other time, as a browser does, and otherwise for JSON, which is not there to be read."""
    if case.operation.path == "/" and case.method in _ASKS_FOR_THE_PAGE:
        case.headers["accept"] = "text/html" if next(_ASKS_FOR_THE_PAGE[case.method]) else "application/json"


@schemathesis.check
def refused_for_what_no_schema_can_say(
    _ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """Let a 422 of what is right by the schema be for the reasons above alone."""
    positive = case.meta is not None and case.meta.generation.mode == schemathesis.GenerationMode.POSITIVE
    if not positive or response.status_code != 422:
        return
    problem = response.json()
    codes = {error["code"] for error in problem.get("errors", ())}
    # The same key came with another body before.
    if problem["code"] != "idempotency_mismatch" and not (codes and codes <= BEYOND_THE_SCHEMA):
        raise AssertionError(f"{codes} is what the schema could say")
