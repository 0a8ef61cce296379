"""The request and response bodies of a sign-up, as pydantic models.

This module is the only declaration of each field: its rules, its description and its input on the page. The SQL
statement, the comparison of repeated requests, the page and the OpenAPI document are generated from it. CONTRIBUTING.md
describes how to add a field.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

from signup.fields import email_address as addresses
from signup.fields import password_policy as policy
from signup.fields.confusables import has_invisible, trim
from signup.hashing.password_hasher import LONGEST_PASSWORD, counted_length, normalise_password
from signup.problems import FieldCode, FieldError, ValidationFailed

Model = TypeVar("Model", bound=BaseModel)

LONGEST_NAME = 100
# Unicode's category Cc.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# The field in which Turnstile's widget sends its token, and the documented maximum length of a token.
BOT_CHECK_FIELD = "cf-turnstile-response"
LONGEST_BOT_TOKEN = 2048
# The field with the version of the terms, and the object with the fields of `EXTRA_FIELDS`.
TERMS_FIELD, EXTRA_FIELD = "terms", "extra"
# The field with the token of an invitation. `signup.invitations` checks it.
INVITATION_FIELD = "invitation"

# Error codes for pydantic's own errors. The validators below set their own codes.
_CODES = {"missing": "required", "extra_forbidden": "unknown_field", "string_type": "not_a_string"}


@dataclass(frozen=True, slots=True)
class Input:
    """The input of a field on the sign-up page.

    Args:
        type: the HTML type of the input.
        autocomplete: the HTML attribute `autocomplete` (https://html.spec.whatwg.org/#autofill-field).
        prose: whether the browser may capitalise the text and check its spelling.
    """

    type: str
    autocomplete: str
    prose: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that affect the rules of the fields.

    Args:
        password_min_length: the shortest password, in code points.
        service_name: the name of the service, which passwords must not be built from.
        subaddressing: whether addresses such as ada+shop@example.com are allowed.
        bot_token: whether the bot check's token is required; otherwise its field is refused as unknown.
        refuses_domain: returns whether a canonical address is refused for its domain; None if no domain is refused.
    """

    password_min_length: int = 15
    service_name: str = "signup"
    subaddressing: bool = True
    bot_token: bool = False
    refuses_domain: Callable[[str], bool] | None = None


def _refusal(code: FieldCode, limit: int | None = None) -> PydanticCustomError:
    """Return a validation error with this code; its text is in `signup.i18n`."""
    return PydanticCustomError(code, code, {"limit": limit})


def line(text: str, longest: int) -> str:
    """Return a free-text field trimmed and in NFC. Raise if it is too long, or has control or invisible characters."""
    trimmed = trim(unicodedata.normalize("NFC", text))
    if len(trimmed) > longest:
        raise _refusal("too_long", longest)
    if _CONTROL.search(trimmed):
        raise _refusal("control_character")
    if has_invisible(trimmed):
        raise _refusal("invisible_character")
    return trimmed


def _name(name: str) -> str:
    trimmed = line(name, LONGEST_NAME)
    if not trimmed:
        raise _refusal("too_short")
    return trimmed


def _email(email: str, info: ValidationInfo) -> str:
    assert info.context is not None  # noqa: S101 - from_object sets it
    rules: Rules = info.context["rules"]
    try:
        address = addresses.canonical(email)
    except addresses.AddressError as exc:
        raise _refusal(exc.code) from exc
    if not rules.subaddressing and addresses.is_subaddress(address):
        raise _refusal("subaddress_refused")
    if rules.refuses_domain is not None and rules.refuses_domain(address):
        raise _refusal("email_domain_refused")
    return address


def _password(password: SecretStr, info: ValidationInfo) -> SecretStr:
    assert info.context is not None  # noqa: S101 - from_object sets it
    rules: Rules = info.context["rules"]
    least = rules.password_min_length
    normal = normalise_password(password.get_secret_value())
    if counted_length(normal) < least:
        raise _refusal("too_short", least)
    if len(normal) > LONGEST_PASSWORD:
        raise _refusal("too_long", LONGEST_PASSWORD)
    # Fields are validated in order; `info.data` has the valid fields before this one.
    context = policy.Context(info.data.get("name", ""), info.data.get("email", ""), rules.service_name)
    if (weakness := policy.find_weakness(normal, context)) is not None:
        raise _refusal(weakness)
    return SecretStr(normal)


def _bot_token(token: str | None) -> str:
    if not token:
        raise _refusal("required")
    if len(token) > LONGEST_BOT_TOKEN:
        raise _refusal("too_long", LONGEST_BOT_TOKEN)
    return token


Text = Annotated[str, StringConstraints(strict=True)]
Email = Annotated[Text, AfterValidator(_email), Input("email", "email")]


class _Fields(BaseModel):
    """The fields of every deployment."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    # The validators above enforce the rules. The arguments of `Field` describe the rules in the OpenAPI document.
    name: Annotated[Text, AfterValidator(_name), Input("text", "name", prose=True)] = Field(
        description="1 to 100 code points in NFC. Spaces and invisible format controls at the ends are trimmed. "
        "Control characters are refused, as are invisible characters that the script does not need. Stored in NFC.",
        examples=["Grace"],
        json_schema_extra={"minLength": 1, "maxLength": LONGEST_NAME, "pattern": r"\S"},
    )
    email: Email = Field(
        description="An address as in RFC 5321 and RFC 6531, trimmed like a name, with at most 64 bytes before the @. "
        "Quoted local parts, domain literals, reserved domains, parts that mix scripts, and compatibility or invisible "
        "characters before the @ are refused. Stored, and unique, in lower case and NFC, with the domain in ASCII.",
        examples=["grace@example.org"],
        json_schema_extra={"format": "idn-email", "maxLength": addresses.LONGEST_ADDRESS},
    )
    password: Annotated[SecretStr, AfterValidator(_password), Input("password", "new-password")] = Field(
        description="Any characters, counted as code points in NFC with at most three combining marks each. "
        "Common passwords are refused, as are those close to the name, the address or the service's name.",
        examples=["seven lighthouses by noon"],
        json_schema_extra={"maxLength": LONGEST_PASSWORD},
    )


class SignUpRequest(_Fields):
    """The body of `POST /`."""

    # A valid request has each field in canonical form. Without the bot check, `bot_token` is "".
    bot_token: Annotated[Text | None, AfterValidator(_bot_token)] = Field(
        alias="cf-turnstile-response",
        repr=False,
        description="The token of Turnstile's widget. It is valid for five minutes and can be used once.",
        examples=["0.Wa7Kq"],
    )

    @classmethod
    def from_object(cls, fields: dict[str, Any], rules: Rules, errors: Sequence[FieldError] = ()) -> "SignUpRequest":
        """Validate a parsed body.

        Args:
            fields: the fields of the body.
            rules: the settings that affect the rules of the fields.
            errors: the errors of fields that were removed from the body.

        Raises:
            ValidationFailed: one or more fields are invalid; the error lists them.
        """
        # Without the bot check, refuse its field as unknown.
        model = cls if rules.bot_token else _Fields
        try:
            valid = validate(model, fields, rules)
        except ValidationFailed as exc:
            # List the errors of removed fields first: many unknown fields could push them out of the limited list.
            raise ValidationFailed([*errors, *exc.errors]) if errors else exc from None
        if errors:
            raise ValidationFailed(list(errors))
        return valid if isinstance(valid, cls) else cls.model_construct(**(dict(valid) | {BOT_CHECK_FIELD: ""}))


def terms_errors(fields: dict[str, Any], version: str) -> list[FieldError]:
    """Remove the field `terms` from a parsed body. Return an error unless it equals this version of the terms."""
    accepted = fields.pop(TERMS_FIELD, "")
    if accepted == version:
        return []
    # Some clients send an empty string for an unticked checkbox.
    code: FieldCode = "not_a_string" if not isinstance(accepted, str) else "terms_outdated" if accepted else "required"
    return [FieldError(TERMS_FIELD, code)]


def validate(model: type[Model], fields: dict[str, Any], rules: Rules) -> Model:
    """Validate a parsed body and return its model.

    Raises:
        ValidationFailed: one or more fields are invalid; the error lists them.
    """
    try:
        return model.model_validate(fields, context={"rules": rules})
    except ValidationError as exc:
        details = exc.errors(include_url=False, include_input=False)
        errors = [_field_error(str(e["loc"][0]), e["type"], e.get("ctx", {})) for e in details]
        raise ValidationFailed(errors) from None


class User(BaseModel):
    """A user in a response, without password and hash."""

    model_config = ConfigDict(frozen=True)

    id: int = Field(description="The id of the user.", examples=[1])
    name: str = Field(description="The stored name.", examples=["Grace"])
    email: str = Field(description="The address in its canonical form.", examples=["grace@example.org"])
    created_at: str = Field(
        description="RFC 3339, in UTC, with milliseconds and a `Z`.",
        examples=["2026-11-22T20:51:52.963Z"],
        json_schema_extra={"format": "date-time"},
    )


class Created(BaseModel):
    """The body of a 201 response."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    msg: str = Field(default="User created", description="A text for users.", examples=["User created"])
    user: User


class Accepted(BaseModel):
    """The body of a 202 response, which is the same for new and taken addresses."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    msg: str = Field(default="Sign-up accepted", description="A text for users.", examples=["Sign-up accepted"])


# The fields of a sign-up that are stored unchanged, returned, and compared when an idempotency key is used again. The
# password is stored and compared as a hash. The token of the bot check is not stored.
STORED = tuple(name for name in SignUpRequest.model_fields if name not in ("password", "bot_token"))
# The inputs of the page, in their order.
INPUTS = {
    name: each
    for name, field in SignUpRequest.model_fields.items()
    for each in field.metadata
    if isinstance(each, Input)
}


def stored_values(fields: SignUpRequest | User) -> tuple[str | None, ...]:
    """Return the values of the `STORED` fields."""
    return tuple(getattr(fields, name) for name in STORED)


def _field_error(name: str, error_type: str, context: dict[str, Any]) -> FieldError:
    return FieldError(name, cast("FieldCode", _CODES.get(error_type, error_type)), context.get("limit"))
