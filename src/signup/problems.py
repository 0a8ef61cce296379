"""Everything that can go wrong, and how it reads as RFC 9457 problem details.

    Problem                              internal              500
    ├── MalformedJson                    malformed_json        400
    ├── MalformedForm                    malformed_form        400
    ├── BadIdempotencyKey                bad_idempotency_key   400
    ├── CrossOriginRefused               cross_origin_refused  403
    ├── HttpsRequired                    https_required        403
    ├── NotFound                         not_found             404
    ├── MethodNotAllowed                 method_not_allowed    405   + Allow
    ├── NotAcceptable                    not_acceptable        406
    ├── BodyTimeout                      body_timeout          408
    ├── EmailTaken                       email_taken           409
    ├── BodyTooLarge                     body_too_large        413
    ├── UnsupportedMediaType             unsupported_media_type 415
    ├── ValidationFailed                 validation_failed     422   + errors
    ├── IdempotencyMismatch              idempotency_mismatch  422
    ├── RateLimited                      rate_limited          429   + Retry-After
    ├── Misconfigured                    misconfigured         500
    ├── DatabaseError                    internal              500
    ├── BotCheckUnavailable              bot_check_unavailable 503   + Retry-After
    ├── BreachCheckUnavailable           breach_check_unavailable 503 + Retry-After
    ├── TooBusy                          too_busy              503   + Retry-After
    └── ProxyProblem
        ├── ProxyBusy                    proxy_busy            503   + Retry-After
        ├── ProxyUnavailable             proxy_unavailable     503   + Retry-After
        └── ProxyTimeout                 proxy_timeout         504

`title` and `detail` are texts for people, written here and never made from input; `reason` is for the log alone, and
holds no value either. Whoever raises another exception has made a mistake, which is answered as `internal`.
"""

from dataclasses import dataclass
from typing import ClassVar

TYPE_PREFIX = "/problems/"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One failing field: where it is (a JSON Pointer, RFC 6901), a stable code, and a text for people."""

    pointer: str
    code: str
    detail: str


class Problem(Exception):
    """The root; by itself it is a mistake of ours.

    Args:
        reason: what the log says; no value of a user's or of a setting's.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    detail: ClassVar[str] = "Something went wrong on our side. Whether the user was created is not known."

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason

    def headers(self) -> dict[str, str]:
        """Return what the answer's header says beyond what every answer says."""
        return {}

    def members(self) -> dict[str, object]:
        """Return the members of the problem details object that are this problem's own."""
        return {}


class MalformedJson(Problem):
    """The body is not one JSON object in UTF-8 with each name once."""

    status = 400
    code = "malformed_json"
    title = "Malformed JSON"
    detail = "The body must be one JSON object (RFC 8259) in UTF-8, with no name twice."


class MalformedForm(Problem):
    """The body is not a form with each field once."""

    status = 400
    code = "malformed_form"
    title = "Malformed form"
    detail = "The form must be in UTF-8, with no field twice."


class BadIdempotencyKey(Problem):
    """The header Idempotency-Key is not a key."""

    status = 400
    code = "bad_idempotency_key"
    title = "Bad idempotency key"
    detail = "The header Idempotency-Key must be 1 to 255 visible ASCII characters."


class CrossOriginRefused(Problem):
    """A page of a foreign origin sent the request."""

    status = 403
    code = "cross_origin_refused"
    title = "Cross-origin request refused"
    detail = "Pages of this origin may not sign users up."


class HttpsRequired(Problem):
    """The request crossed a network in the clear."""

    status = 403
    code = "https_required"
    title = "HTTPS required"
    detail = "The request came over plain HTTP, and its body was not read. Send it to the https:// address."


class NotFound(Problem):
    """There is nothing at this path."""

    status = 404
    code = "not_found"
    title = "Not found"
    detail = "There is nothing at this path. Sign up with POST /."


class MethodNotAllowed(Problem):
    """The path exists, but not for this method.

    Args:
        allow: the methods that it has.
    """

    status = 405
    code = "method_not_allowed"
    title = "Method not allowed"
    detail = "This path does not take that method; the Allow header says which it takes."

    def __init__(self, allow: tuple[str, ...]) -> None:
        super().__init__()
        self.allow = allow

    def headers(self) -> dict[str, str]:
        """Return the Allow header that RFC 9110 wants."""
        return {"allow": ", ".join(self.allow)}


class NotAcceptable(Problem):
    """What is at this path is not acceptable to the client."""

    status = 406
    code = "not_acceptable"
    title = "Not acceptable"
    detail = "This path has a page in text/html, which the Accept header does not allow. Sign up with POST /."


class BodyTimeout(Problem):
    """The body did not arrive within the request's deadline."""

    status = 408
    code = "body_timeout"
    title = "Body too slow"
    detail = "The body did not arrive in time. Nothing was created; try again."


class EmailTaken(Problem):
    """There is a user with this address already."""

    status = 409
    code = "email_taken"
    title = "E-mail address taken"
    detail = "There is already a user with this e-mail address."


class BodyTooLarge(Problem):
    """The body is longer than what is read of it."""

    status = 413
    code = "body_too_large"
    title = "Body too large"
    detail = "The body may be at most 16 KiB long."


class UnsupportedMediaType(Problem):
    """The body is declared neither as JSON nor as a form, or not in the clear."""

    status = 415
    code = "unsupported_media_type"
    title = "Unsupported media type"
    detail = "The body must be JSON or a form, declared as such, in UTF-8 and without a content encoding."


class ValidationFailed(Problem):
    """Fields are missing, wrong or unknown.

    Args:
        errors: at least one; `MOST_ERRORS` of them are listed.
    """

    # A body of 16 KiB can have 2,700 unknown fields.
    MOST_ERRORS: ClassVar[int] = 50

    status = 422
    code = "validation_failed"
    title = "Validation failed"
    detail = "Some fields are missing, wrong or unknown; `errors` lists up to 50 of them."

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__()
        self.errors = errors[: self.MOST_ERRORS]

    def members(self) -> dict[str, object]:
        """Return `errors`, which never repeats what was sent but for the names of unknown fields."""
        return {"errors": [{"pointer": e.pointer, "code": e.code, "detail": e.detail} for e in self.errors]}


class IdempotencyMismatch(Problem):
    """The idempotency key was used with another body."""

    status = 422
    code = "idempotency_mismatch"
    title = "Idempotency key reused"
    detail = "This Idempotency-Key belongs to a request with another body. Use a new key for another sign-up."


class RateLimited(Problem):
    """The client, or somebody with this e-mail address, was here too often.

    Args:
        limit: the name of the limit, for the log.
    """

    status = 429
    code = "rate_limited"
    title = "Too many requests"
    detail = "There were too many requests from this client, or for this e-mail address. Try again later."

    # Seconds: the period of the limits in wrangler.toml, which a binding does not tell.
    RETRY_AFTER: ClassVar[int] = 60

    def __init__(self, limit: str) -> None:
        super().__init__(f"beyond {limit}")

    def headers(self) -> dict[str, str]:
        """Return Retry-After in seconds (RFC 9110), after which the client is within its limit for sure."""
        return {"retry-after": str(self.RETRY_AFTER)}


class Misconfigured(Problem):
    """A setting is missing or wrong.

    Args:
        setting: its name, for the log.
        reason: what is wrong with it, without its value.
    """

    code = "misconfigured"
    title = "Misconfigured"
    detail = "This service is not set up correctly; its log says which setting is wrong."

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(f"{setting} {reason}")
        self.setting = setting


class DatabaseError(Problem):
    """The database refused a statement for a reason that is neither the user's nor the moment's.

    Args:
        sqlstate: the five characters of SQLSTATE, or "" when the proxy gave none.
        constraint: the violated constraint's name, or "".
    """

    def __init__(self, sqlstate: str, constraint: str = "") -> None:
        super().__init__(f"the database answered SQLSTATE {sqlstate or 'unknown'}")
        self.sqlstate = sqlstate
        self.constraint = constraint


class BotCheckUnavailable(Problem):
    """Whether a person signs up cannot be found out; without knowing, nobody is."""

    status = 503
    code = "bot_check_unavailable"
    title = "Bot check unavailable"
    detail = "The check against bots cannot be reached. Try again later; nothing was created."

    # Seconds.
    RETRY_AFTER: ClassVar[int] = 5

    def headers(self) -> dict[str, str]:
        """Return Retry-After in seconds (RFC 9110)."""
        return {"retry-after": str(self.RETRY_AFTER)}


class BreachCheckUnavailable(Problem):
    """It cannot be known whether the password stands on a list, and the settings want it known.

    Args:
        reason: what the log says.
        retry_after: seconds.
    """

    status = 503
    code = "breach_check_unavailable"
    title = "Breach check unavailable"
    detail = "It cannot be checked at the moment whether the password is a breached one. Try again later."

    def __init__(self, reason: str, retry_after: int = 5) -> None:
        super().__init__(reason)
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        """Return Retry-After in seconds (RFC 9110)."""
        return {"retry-after": str(self.retry_after)}


class TooBusy(Problem):
    """More passwords are waiting to be hashed than can be in time.

    Args:
        reason: what the log says.
        retry_after: seconds.
    """

    status = 503
    code = "too_busy"
    title = "Too busy"
    detail = "Too many sign-ups are waiting here. Nothing was done for this one; try again later."

    def __init__(self, reason: str, retry_after: int) -> None:
        super().__init__(reason)
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        """Return Retry-After in seconds (RFC 9110)."""
        return {"retry-after": str(self.retry_after)}


class ProxyProblem(Problem):
    """The data proxy did not carry out the statement, or it is not known whether it did.

    Args:
        reason: what the log says.
        retry_after: seconds after which the other end wants to be asked again; None when it did not say.
    """

    status = 503
    code = "proxy_unavailable"
    title = "Database unavailable"
    detail = "The database cannot be reached. Try again later."

    # Seconds, when the other end did not say.
    RETRY_AFTER: ClassVar[int] = 2

    def __init__(self, reason: str, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.asked = retry_after is not None
        self.retry_after = self.RETRY_AFTER if retry_after is None else retry_after

    def headers(self) -> dict[str, str]:
        """Return Retry-After in seconds (RFC 9110)."""
        return {"retry-after": str(self.retry_after)}


class ProxyBusy(ProxyProblem):
    """Every pooled connection is in use and the queue for one is full, or the wait was too long."""

    code = "proxy_busy"
    title = "Database busy"
    detail = "Too many requests are waiting for the database. Try again later."


class ProxyUnavailable(ProxyProblem):
    """The proxy, or the database behind it, cannot be reached or does not speak as it should."""


class ProxyTimeout(ProxyProblem):
    """The answer did not come within the deadline; the statement may or may not have been carried out."""

    status = 504
    code = "proxy_timeout"
    title = "Database too slow"
    detail = "The database did not answer in time. Whether the user was created is not known."

    def headers(self) -> dict[str, str]:
        """Return nothing: a Retry-After would promise that the next attempt is quicker."""
        return {}


def _by_code(root: type[Problem]) -> dict[str, type[Problem]]:
    below: dict[str, type[Problem]] = {}
    for each in root.__subclasses__():
        below |= _by_code(each)
    # Of several with one code, the one nearest to the root.
    return below | {root.code: root}


# The problem of each code.
TABLE = _by_code(Problem)
