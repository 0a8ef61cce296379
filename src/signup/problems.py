"""The errors of a request, each with the status and the code of its problem details (RFC 9457).

`signup.i18n` has the texts for users, by code. `reason` and `details` are only logged, and contain no value of a user
or of a setting. Any other exception is a bug, for which the response has the code `internal`.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, Unpack

from signup.log import Details, Fields, Reason

TYPE_PREFIX = "/problems/"

# The codes of `FieldError`. They are part of the API.
FieldCode = Literal[
    "required",
    "unknown_field",
    "not_a_string",
    "too_short",
    "too_long",
    "control_character",
    "invisible_character",
    "not_an_email_address",
    "reserved_domain",
    "mixed_scripts",
    "compatibility_character",
    "subaddress_refused",
    "email_domain_refused",
    "built_from_name",
    "built_from_email",
    "built_from_service_name",
    "too_common",
    "breached",
    "bot_check_expired",
    "bot_check_failed",
    "bot_check_foreign",
    "terms_outdated",
    "not_an_object",
    "not_an_integer",
    "not_a_boolean",
    "not_an_option",
    "too_small",
    "too_large",
]


@dataclass(frozen=True, slots=True)
class FieldError:
    """A field that is not valid.

    Args:
        field: the name, as in the request.
        code: the code of the error.
        limit: the limit that the value violates, if any.
        parent: the name of the object that contains the field; "" for the body.
    """

    field: str
    code: FieldCode
    limit: int | None = None
    parent: str = ""

    @property
    def path(self) -> str:
        """Return the name of the field in a form and in the keys of its texts, such as `extra.company`."""
        return f"{self.parent}.{self.field}" if self.parent else self.field

    @property
    def pointer(self) -> str:
        """Return the JSON Pointer (RFC 6901) to the field."""
        names = [self.parent, self.field] if self.parent else [self.field]
        return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)


class Problem(Exception):
    """The base class of the errors of a request. An instance of the base class itself stands for a bug.

    Args:
        reason: the cause, for codes with several causes.
        retry_after: the seconds to wait, from another service's Retry-After or estimated here; None for `RETRY_AFTER`.
        **details: further fields of the log line.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    # The default of `retry_after`, in seconds; None for a response without Retry-After.
    RETRY_AFTER: ClassVar[int | None] = None

    def __init__(
        self, reason: Reason | None = None, retry_after: int | None = None, **details: Unpack[Details]
    ) -> None:
        super().__init__(reason)
        self.reason: str = reason or ""
        self.details = details
        self.requested_pause = retry_after or 0
        self.retry_after = self.RETRY_AFTER if retry_after is None else retry_after

    def __str__(self) -> str:
        return self.reason

    def log_fields(self) -> Fields:
        """Return the fields of the log line."""
        reason: Fields = {"reason": self.reason} if self.reason else {}
        return {"code": self.code, **reason, **self.details}

    def headers(self) -> dict[str, str]:
        """Return the additional headers of the response."""
        return {} if self.retry_after is None else {"retry-after": str(self.retry_after)}


class MalformedJson(Problem):
    """The body is incomplete, or is not one JSON object that `signup.json_codec` accepts."""

    status = 400
    code = "malformed_json"


class MalformedForm(Problem):
    """The body is not a valid form, or has duplicate fields."""

    status = 400
    code = "malformed_form"


class BadIdempotencyKey(Problem):
    """The idempotency key, in the header or in the form, is malformed."""

    status = 400
    code = "bad_idempotency_key"


class BadVerificationToken(Problem):
    """The verification token is not valid, or its account was removed or replaced."""

    status = 400
    code = "bad_verification_token"


class CrossOriginRefused(Problem):
    """A page of an origin that is not allowed sent the request."""

    status = 403
    code = "cross_origin_refused"


class HttpsRequired(Problem):
    """A request other than GET or HEAD was sent over plain HTTP."""

    status = 403
    code = "https_required"


class SignUpsClosed(Problem):
    """Sign-ups are closed by the settings."""

    status = 403
    code = "sign_ups_closed"


class InvitationRequired(Problem):
    """The settings require an invitation, and the sign-up has none."""

    status = 403
    code = "invitation_required"


class BadInvitation(Problem):
    """The invitation is not valid for this sign-up."""

    status = 403
    code = "bad_invitation"


class NotFound(Problem):
    """The path does not exist."""

    status = 404
    code = "not_found"


class MethodNotAllowed(Problem):
    """The path does not support this method.

    Args:
        allow: the supported methods.
    """

    status = 405
    code = "method_not_allowed"

    def __init__(self, allow: tuple[str, ...]) -> None:
        super().__init__()
        self.allow = allow

    def headers(self) -> dict[str, str]:
        """Return the Allow header, which RFC 9110 requires."""
        return {"allow": ", ".join(self.allow)}


class NotAcceptable(Problem):
    """The representation at this path is not acceptable to the client."""

    status = 406
    code = "not_acceptable"


class BodyTimeout(Problem):
    """The body did not arrive within the request's deadline."""

    status = 408
    code = "body_timeout"


class EmailTaken(Problem):
    """A user with this address exists."""

    status = 409
    code = "email_taken"


class VerificationExpired(Problem):
    """The verification token has expired."""

    status = 410
    code = "verification_expired"


class BodyTooLarge(Problem):
    """The body is larger than `signup.web.messages.LARGEST_BODY`."""

    status = 413
    code = "body_too_large"


class UnsupportedMediaType(Problem):
    """The body is not declared as an uncompressed form or JSON in UTF-8, or is JSON that is declared as a form."""

    status = 415
    code = "unsupported_media_type"


class ValidationFailed(Problem):
    """Fields are missing, wrong or unknown.

    Args:
        errors: the errors, at least one. The response lists up to `MOST_ERRORS` of them.
    """

    # A body of 16 KiB can have more than 2,000 unknown fields.
    MOST_ERRORS: ClassVar[int] = 50

    status = 422
    code = "validation_failed"

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__()
        self.errors = errors[: self.MOST_ERRORS]


class IdempotencyMismatch(Problem):
    """The idempotency key was used with a different body."""

    status = 422
    code = "idempotency_mismatch"


class RateLimited(Problem):
    """Too many requests came from this client, or for this e-mail address.

    Args:
        limit: the name of the limit, for the log.
    """

    status = 429
    code = "rate_limited"

    # The period of the limits in wrangler.toml, in seconds. A binding does not report its period.
    RETRY_AFTER = 60

    def __init__(self, limit: str) -> None:
        super().__init__(limit=limit)


class Misconfigured(Problem):
    """A setting is missing or wrong.

    Args:
        setting: the name of the setting, for the log.
        reason: the predicate of a sentence about the setting, such as "is missing". It does not contain the value.
    """

    code = "misconfigured"

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(setting=setting)
        self.reason = f"{setting} {reason}"
        self.setting = setting


class DatabaseError(Problem):
    """The database refused a statement permanently. The user is not the cause.

    Args:
        sqlstate: the SQLSTATE.
        constraint: the violated constraint's name; "" if there is none, or if it must not be logged.
    """

    def __init__(self, sqlstate: str, constraint: str = "") -> None:
        super().__init__("database_error", sqlstate=sqlstate, constraint=constraint)
        self.sqlstate = sqlstate
        self.constraint = constraint


class BotCheckUnavailable(Problem):
    """The bot check is unreachable. Sign-ups fail closed."""

    status = 503
    code = "bot_check_unavailable"
    RETRY_AFTER = 5


class BreachCheckUnavailable(Problem):
    """The password cannot be looked up. Only `BREACH_CHECK=strict` refuses the sign-up for this reason."""

    status = 503
    code = "breach_check_unavailable"
    RETRY_AFTER = 5


class TooBusy(Problem):
    """The hash queue is full, or the password was not hashed in time."""

    status = 503
    code = "too_busy"
    RETRY_AFTER = 2


class ProxyProblem(Problem):
    """The data proxy did not run the statement, or the outcome is unknown."""

    status = 503
    code = "proxy_unavailable"
    RETRY_AFTER: ClassVar[int | None] = 2


class ProxyBusy(ProxyProblem):
    """The data proxy or the database has no free connection, or the data proxy limits the rate of requests."""

    code = "proxy_busy"


class ProxyUnavailable(ProxyProblem):
    """The proxy or its database is unavailable, a response cannot be used, or the circuit breaker is open."""


class ProxyTimeout(ProxyProblem):
    """The exchange or the statement timed out. The statement may or may not have been run."""

    status = 504
    code = "proxy_timeout"
    # No Retry-After: the next attempt may time out too.
    RETRY_AFTER = None


def _by_code(root: type[Problem]) -> dict[str, type[Problem]]:
    by_code: dict[str, type[Problem]] = {}
    for each in root.__subclasses__():
        by_code |= _by_code(each)
    # If several classes share a code, use the base class.
    return by_code | {root.code: root}


# The class of each code.
TABLE = _by_code(Problem)
