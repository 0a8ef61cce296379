"""The Worker's settings: its bindings (vars and secrets). An isolate keeps them once they are valid.

Each setting is a field of `Settings`, which declares its default, its bounds and its help text. `make docs` writes
docs/settings.md, .dev.vars.example and the comments in wrangler.toml from these declarations.
"""

import re
import time
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from signup import urls
from signup.database.dialects import hyperdrive
from signup.database.dialects.choose import find_dialect
from signup.hashing.named_keys import NamedKey, parse_keys
from signup.hashing.password_hasher import LONGEST_PASSWORD
from signup.hashing.peppers import Peppers
from signup.problems import Misconfigured

if TYPE_CHECKING:
    from signup.fields.extra_fields import ExtraFields

# Returns the value of a binding, or None if it is missing. Vars are text or numbers, secrets are text.
Bindings = Callable[[str], object]

_HOST = r"[a-z0-9.-]+"
# An origin as browsers write it: in lower case, without a path and without port 80 or 443. There are no wildcards.
_ORIGIN = re.compile(rf"https?://(?:{_HOST}|\[[0-9a-f:]+\])(?!:(80|443)$)(:\d{{1,5}})?")
# The host of `NEXT_URL` appears in a Content Security Policy, which has no syntax for IPv6 addresses.
_PAGE_URL = re.compile(rf"https?://{_HOST}(?::\d{{1,5}})?(?:[/?#].*)?")

# A sender: an address, or a name and an address in angle brackets.
_MAIL_FROM = r"^(?:[^\s<>@\",]+@[^\s<>@\",]+|[^<>@\",\\\x00-\x1f]+ <[^\s<>@\",]+@[^\s<>@\",]+>)$"
# A key of Standard Webhooks: 24 to 64 bytes in base64 (https://www.standardwebhooks.com).
_WEBHOOK_SECRET = re.compile(r"whsec_([A-Za-z0-9+/]{32,88}={0,2})")
_WEBHOOK_KEY_LENGTHS = range(24, 65)


@dataclass(frozen=True, slots=True)
class TurnstileSettings:
    """The settings of the bot check.

    Args:
        secret: the widget's secret key.
        hostnames: the hosts of the pages with the widget.
        action: the action for which a token must be issued.
        url: the URL of siteverify.
        timeout: the timeout of the check, in seconds.
        site_key: the widget's public key, for the sign-up page; "" for a page without the widget.
    """

    secret: SecretStr
    hostnames: frozenset[str]
    action: str
    url: str
    timeout: float
    site_key: str


def _setting(info: ValidationInfo) -> str:
    """Return the name of the validated setting."""
    return str(info.field_name).upper()


def _check_database_url(value: SecretStr, info: ValidationInfo) -> SecretStr:
    find_dialect(value, info.context or time.time)
    return value


def _check_origins(value: str, info: ValidationInfo) -> str:
    for each in _split(value):
        if not _ORIGIN.fullmatch(each):
            raise Misconfigured(_setting(info), "must list exact origins, such as https://www.example.com")
        urls.parse_web(_setting(info), each)
    return value


def _check_page_url(value: str, info: ValidationInfo) -> str:
    urls.parse_web(_setting(info), value)
    if not _PAGE_URL.fullmatch(value):
        raise Misconfigured(_setting(info), "must be a URL with a host name in lower case")
    return value


def _check_url(value: str, info: ValidationInfo) -> str:
    urls.parse_web(_setting(info), value)
    return value


def _check_base_url(value: str, info: ValidationInfo) -> str:
    """Return the URL with a slash at its end."""
    urls.parse_web(_setting(info), value)
    if set("?#") & set(value):
        raise Misconfigured(_setting(info), "must be a URL without a query or fragment")
    return f"{value.rstrip('/')}/"


def _check_webhook_url(value: SecretStr, info: ValidationInfo) -> SecretStr:
    urls.parse_web(_setting(info), value.get_secret_value())
    return value


def _check_webhook_secret(value: SecretStr, info: ValidationInfo) -> SecretStr:
    for each in value.get_secret_value().split(","):
        match = _WEBHOOK_SECRET.fullmatch(each.strip())
        try:
            length = len(b64decode(match[1], validate=True)) if match else 0
        except ValueError:
            length = 0
        if length not in _WEBHOOK_KEY_LENGTHS:
            raise Misconfigured(
                _setting(info), "must be whsec_ and 24 to 64 bytes in base64, or several separated by commas"
            )
    return value


class Settings(BaseModel):
    """The validated settings of the Worker. Each field has the name of its binding, in lower case.

    The first sentence of a description is a summary, which becomes the comment in wrangler.toml.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    database_url: Annotated[SecretStr, AfterValidator(_check_database_url)] = Field(
        description="URL of the data proxy, with its credentials. Not needed with a binding `HYPERDRIVE`. "
        "Percent-encode characters of the token, user or password that have a special meaning in a "
        "URL. See docs/connection-strings.md.",
        examples=["sql+http://TOKEN@127.0.0.1:8080/"],
    )
    sign_up: Literal["open", "invite", "closed"] = Field(
        default="open",
        description="Who may sign up: everyone, only people with an invitation, or no one. `invite` needs "
        "`INVITATION_SECRET`. See docs/users.md.",
    )
    invitation_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Keys of the invitations, each as in `PASSWORD_PEPPER`, separated by commas. The first one signs; "
        "invitations signed with the others are accepted. Keep a replaced key until its invitations have expired.",
        examples=["2026a:BASE64"],
    )
    password_min_length: int = Field(
        default=15,
        ge=8,
        le=LONGEST_PASSWORD,
        description="Shortest password, in code points. NIST SP 800-63B-4 requires 15 where the password is the only "
        "factor.",
    )
    service_name: str = Field(
        default="signup",
        description="Name on the page and in e-mails. Passwords too close to it are refused. See docs/page.md.",
    )
    page_colour: str = Field(
        default="",
        pattern="^#[0-9a-fA-F]{6}$",
        description="Accent colour of the page. Text on it is black or white, whichever contrasts more.",
        examples=["#1d4ed8"],
    )
    next_url: Annotated[str, AfterValidator(_check_page_url)] = Field(
        default="",
        description="URL to which the browser goes after a sign-up. An https URL, or http on loopback; without it the "
        "page confirms the sign-up.",
        examples=["https://www.example.com/welcome"],
    )
    hash_profile: Literal[
        "m=19456,t=2,p=1", "m=47104,t=1,p=1", "m=12288,t=3,p=1", "m=9216,t=4,p=1", "m=7168,t=5,p=1"
    ] = Field(
        default="m=19456,t=2,p=1",
        description="Parameters of Argon2id: memory in KiB, passes, lanes. Each value is a row of OWASP's table. "
        "See docs/passwords.md.",
    )
    hash_queue: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Number of passwords that may wait to be hashed in an isolate. 0 allows as many as fit in a "
        "quarter of `REQUEST_DEADLINE`.",
    )
    password_pepper: SecretStr = Field(
        default=SecretStr(""),
        description="Key of the password hashes: a name of 1 to 11 characters of `A-Z a-z 0-9 + / . -`, a colon, and "
        "at least 32 bytes in base64. `openssl rand -base64 32` generates one. See docs/passwords.md.",
        examples=["2026a:BASE64"],
    )
    password_pepper_previous: SecretStr = Field(
        default=SecretStr(""),
        description="Earlier keys, separated by commas. Keep each key for as long as hashes use it.",
        examples=["2025b:BASE64,2025a:BASE64"],
    )
    breach_check: Literal["off", "on", "strict"] = Field(
        default="off",
        description="Whether passwords are looked up in published breaches. If the look-up fails, `on` accepts the "
        "password and `strict` refuses it. See docs/passwords.md.",
    )
    breach_timeout: float = Field(default=1.0, ge=0.1, le=5, description="Timeout of the breach check, in seconds.")
    breach_api_url: Annotated[str, AfterValidator(_check_base_url)] = Field(
        default="https://api.pwnedpasswords.com/range/",
        description="Range API of Have I Been Pwned, or a mirror. An https URL, or http on loopback.",
    )
    proxy_timeout: float = Field(
        default=5.0, ge=0.1, le=30, description="Timeout of an exchange with the data proxy, in seconds."
    )
    request_deadline: float = Field(
        default=10.0,
        ge=0.5,
        le=300,
        description="Deadline of a request, in seconds, including retries. It also limits `PROXY_TIMEOUT`.",
    )
    email_subaddressing: Literal["keep", "refuse"] = Field(
        default="keep",
        description="Whether addresses such as `ada+shop@example.com` are accepted. See docs/input.md.",
    )
    email_domains_allowed: str = Field(
        default="",
        description="If set, only addresses of these domains may sign up. They are separated by commas. "
        "`*.example.com` matches every subdomain of example.com, but not the domain itself. See docs/users.md.",
        examples=["example.com,*.example.com"],
    )
    email_domains_blocked: str = Field(
        default="",
        description="Domains of addresses that may not sign up, in the syntax of `EMAIL_DOMAINS_ALLOWED`. They take "
        "precedence over it.",
        examples=["example.org,*.example.org"],
    )
    disposable_email: Literal["allow", "refuse"] = Field(
        default="allow",
        description="Whether disposable addresses are accepted. `refuse` refuses the domains of a published list. See "
        "docs/users.md.",
    )
    terms_version: str = Field(
        default="",
        pattern="^[A-Za-z0-9._-]{1,64}$",
        description="Version of the terms that users must accept. When it is set, a sign-up needs it in the field "
        "`terms`, and the page has a checkbox for it. See docs/fields.md.",
        examples=["2026-11"],
    )
    terms_url: Annotated[str, AfterValidator(_check_url)] = Field(
        default="",
        description="URL of the terms. An https URL, or http on loopback. Required with `TERMS_VERSION`.",
        examples=["https://www.example.com/terms"],
    )
    extra_fields: str = Field(
        default="",
        description="Additional fields of a sign-up, as a JSON Schema. At most ten strings, integers and booleans. See "
        "docs/fields.md.",
        examples=['{"properties": {"company": {"type": "string", "title": "Company", "maxLength": 100}}}'],
    )
    cors_origins: Annotated[str, AfterValidator(_check_origins)] = Field(
        default="",
        description="Origins of other pages that may sign users up and verify addresses. They are separated by commas; "
        "each is https, or http on loopback.",
        examples=["https://www.example.com,http://localhost:3000"],
    )
    duplicate_response: Literal["conflict", "conceal"] = Field(
        default="conflict",
        description="Response to a sign-up with a taken address. `conflict` is 409. `conceal` is 202 with "
        '`{"msg": "Sign-up accepted"}`, for new and taken addresses. See docs/abuse.md.',
    )
    turnstile_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Secret key of the Turnstile widget. If it is set, a sign-up needs a token of the widget in the "
        "field `cf-turnstile-response`. See docs/abuse.md.",
        examples=["1x0000000000000000000000000000000AA"],
    )
    turnstile_hostnames: str = Field(
        default="",
        description="Hosts of the pages with the widget, separated by commas. Required with `TURNSTILE_SECRET`.",
        examples=["www.example.com,example.com"],
    )
    turnstile_action: str = Field(default="sign-up", description="The widget's `data-action`.")
    turnstile_site_key: str = Field(
        default="",
        pattern="^[A-Za-z0-9_.-]{1,100}$",
        description="Public key of the widget. The page needs it to show the widget if `TURNSTILE_SECRET` is set. "
        "See docs/page.md.",
        examples=["1x00000000000000000000AA"],
    )
    turnstile_timeout: float = Field(default=3.0, ge=0.1, le=30, description="Timeout of the bot check, in seconds.")
    turnstile_url: Annotated[str, AfterValidator(_check_url)] = Field(
        default="https://challenges.cloudflare.com/turnstile/v0/siteverify",
        description="URL of siteverify. An https URL, or http on loopback.",
    )
    email_verification: Literal["off", "on"] = Field(
        default="off",
        description="Whether users must verify their addresses. `on` sends a link by e-mail, and needs `MAIL_URL`, "
        "`MAIL_FROM`, `PUBLIC_URL` and `VERIFICATION_SECRET`. See docs/verification.md.",
    )
    verification_ttl: int = Field(
        default=86400,
        ge=300,
        le=2592000,
        description="Seconds within which an address must be verified. After that a sign-up may replace the user.",
    )
    verification_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Keys of the links in e-mails, each as in `PASSWORD_PEPPER`, separated by commas. The first one "
        "signs; links signed with the others are accepted. Keep a replaced key for as long as `VERIFICATION_TTL`.",
        examples=["2026a:BASE64"],
    )
    public_url: Annotated[str, AfterValidator(_check_base_url)] = Field(
        default="",
        description="URL of the Worker, for the links in e-mails. An https URL, or http on loopback.",
        examples=["https://signup.example.com/"],
    )
    mail_url: SecretStr = Field(
        default=SecretStr(""),
        description="URL of the mail provider, with its credentials. See docs/mail.md.",
        examples=["resend://KEY@api.resend.com"],
    )
    mail_from: str = Field(
        default="",
        pattern=_MAIL_FROM,
        description="Sender of the e-mails: an address, or a name and an address. Required with `MAIL_URL`.",
        examples=["Example <accounts@example.com>"],
    )
    webhook_url: Annotated[SecretStr, AfterValidator(_check_webhook_url)] = Field(
        default=SecretStr(""),
        description="URL to which `user.created` and `user.verified` are posted. An https URL, or http on loopback. "
        "See docs/webhooks.md.",
        examples=["https://www.example.com/webhooks/signup"],
    )
    webhook_secret: Annotated[SecretStr, AfterValidator(_check_webhook_secret)] = Field(
        default=SecretStr(""),
        description="Key of the webhooks' signatures: `whsec_` and 24 to 64 bytes in base64. Required with "
        "`WEBHOOK_URL`. With several keys, separated by commas, each webhook is signed with all of them.",
        examples=["whsec_BASE64"],
    )

    @classmethod
    def from_bindings(cls, bindings: Bindings, clock: Callable[[], float] = time.time) -> "Settings":
        """Read and check every setting. An empty string counts as unset.

        Args:
            bindings: the Worker's bindings.
            clock: returns the time in seconds since the epoch, to refuse the DATABASE_URL of a retired service.

        Raises:
            Misconfigured: a setting is missing or wrong; the message names one such setting, without its value.
        """
        values = {}
        for name in cls.model_fields:
            value = bindings(name.upper())
            if isinstance(value, str):
                value = value.strip()
                if any("\ud800" <= each <= "\udfff" for each in value):
                    raise Misconfigured(name.upper(), "must be text in UTF-8")
            if value is not None and value != "":
                values[name] = value
        if bindings(hyperdrive.BINDING) is not None:
            values.setdefault("database_url", hyperdrive.URL)
        if isinstance(mail_url := values.get("mail_url"), str):
            _check_mail_url(SecretStr(mail_url))
        try:
            settings = cls.model_validate(values, context=clock)
        except ValidationError as exc:
            first_error = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        else:
            _check_domains(settings)
            _check_extra_fields(settings)
            return settings
        name = str(first_error["loc"][0])
        raise Misconfigured(name.upper(), _reason(name, first_error["type"]))

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        _ = self.peppers
        if self.turnstile is not None and not self.turnstile.hostnames:
            raise Misconfigured("TURNSTILE_HOSTNAMES", "must list the hosts of the pages with the widget")
        _ = self.verification_keys, self.invitation_keys
        for is_set, condition, names in (
            (self.invites, "SIGN_UP=invite", ("invitation_secret",)),
            (self.verifies, "EMAIL_VERIFICATION", ("mail_url", "mail_from", "public_url", "verification_secret")),
            (bool(self.mail_url), "MAIL_URL", ("mail_from",)),
            (bool(self.webhook_url), "WEBHOOK_URL", ("webhook_secret",)),
            (bool(self.terms_version), "TERMS_VERSION", ("terms_url",)),
        ):
            for name in names if is_set else ():
                if not getattr(self, name):
                    raise Misconfigured(name.upper(), f"must be set with {condition}")
        return self

    @property
    def verifies(self) -> bool:
        """Whether users must verify their addresses."""
        return self.email_verification == "on"

    @property
    def verification_keys(self) -> tuple[NamedKey, ...]:
        """The keys of the links in e-mails; the first one signs."""
        return parse_keys("VERIFICATION_SECRET", self.verification_secret.get_secret_value())

    @property
    def invites(self) -> bool:
        """Whether a sign-up needs an invitation."""
        return self.sign_up == "invite"

    @property
    def invitation_keys(self) -> tuple[NamedKey, ...]:
        """The keys of the invitations; the first one signs."""
        return parse_keys("INVITATION_SECRET", self.invitation_secret.get_secret_value())

    @property
    def peppers(self) -> Peppers:
        """The keys of the password hashes."""
        return Peppers.parse(self.password_pepper.get_secret_value(), self.password_pepper_previous.get_secret_value())

    @property
    def turnstile(self) -> TurnstileSettings | None:
        """The settings of the bot check; None if it is off."""
        if not self.turnstile_secret:
            return None
        return TurnstileSettings(
            secret=self.turnstile_secret,
            hostnames=_split(self.turnstile_hostnames.lower()),
            action=self.turnstile_action,
            url=self.turnstile_url,
            timeout=self.turnstile_timeout,
            site_key=self.turnstile_site_key,
        )

    @property
    def origins(self) -> frozenset[str]:
        """The origins of other pages that may send requests."""
        return _split(self.cors_origins)

    @property
    def subaddressing(self) -> bool:
        """Whether addresses with a plus before the @ are accepted."""
        return self.email_subaddressing == "keep"

    @property
    def closed(self) -> bool:
        """Whether sign-ups are closed."""
        return self.sign_up == "closed"

    @property
    def restricts_domains(self) -> bool:
        """Whether addresses of some domains are refused."""
        return bool(self.email_domains_allowed or self.email_domains_blocked or self.disposable_email == "refuse")

    @property
    def parsed_extra_fields(self) -> "ExtraFields | None":
        """The fields of `EXTRA_FIELDS`, parsed once; None if the setting is empty.

        Raises:
            ExtraFieldsError: the schema is wrong. Checked settings never raise it.
        """
        if not self.extra_fields:
            return None
        # Imported only with this setting, to keep the cold starts of other deployments short.
        from signup.fields.extra_fields import parse_extra_fields  # noqa: PLC0415

        return parse_extra_fields(self.extra_fields)

    @property
    def conceal(self) -> bool:
        """Whether new and taken addresses get the same response."""
        return self.duplicate_response == "conceal"


def _check_domains(settings: Settings) -> None:
    # This is not a validator of the model, because an import in a validator crashes workerd.
    for name in ("email_domains_allowed", "email_domains_blocked"):
        if (text := getattr(settings, name)) and (error := _domain_list_error(text)):
            raise Misconfigured(name.upper(), error)


def _check_extra_fields(settings: Settings) -> None:
    if not settings.extra_fields:
        return
    # Imported only with this setting. This is not a validator either; see `_check_domains`.
    from signup.fields.extra_fields import ExtraFieldsError  # noqa: PLC0415

    try:
        _ = settings.parsed_extra_fields
    except ExtraFieldsError as exc:
        raise Misconfigured("EXTRA_FIELDS", str(exc)) from exc


def _check_mail_url(mail_url: SecretStr) -> None:
    # Imported only with this setting, to keep the cold starts of other deployments short. This is not a validator
    # either; see `_check_domains`.
    from signup.outbox.mail.choose import find_provider  # noqa: PLC0415

    find_provider(mail_url)


def _domain_list_error(text: str) -> str:
    """Return the error in a list of domains, or ""."""
    # Imported here because few deployments have such a list.
    from signup.fields.email_domains import DomainListError, parse_domains  # noqa: PLC0415

    try:
        parse_domains(text)
    except DomainListError as exc:
        return str(exc)
    return ""


def _split(text: str) -> frozenset[str]:
    """Return the parts of a comma-separated text."""
    return frozenset(each.strip() for each in text.split(",")) - {""}


def _reason(name: str, error: str) -> str:
    """Return what is wrong with a setting, as the predicate of a sentence about the setting.

    Args:
        name: the name of the field.
        error: the type of pydantic's error.
    """
    field = Settings.model_fields[name]
    if error == "missing":
        return "is not set; bind it as a secret"
    if get_origin(field.annotation) is Literal:
        *others, last = get_args(field.annotation)
        return f"must be {', '.join(others)} or {last}"
    if field.annotation in (int, float):
        low = next(each.ge for each in field.metadata if isinstance(each, Ge))
        high = next(each.le for each in field.metadata if isinstance(each, Le))
        return f"must be {'a whole number' if field.annotation is int else 'a number'} from {low} to {high}"
    if error == "string_pattern_mismatch" and field.examples:
        return f"must look like {field.examples[0]}"
    return "must be text"
