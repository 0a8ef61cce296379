"""The Worker's settings: its bindings (vars and secrets), read and checked once per isolate.

Each setting is a field of `Settings`, which declares its default, its bounds and its help text. `make docs` writes
docs/settings.md, .dev.vars.example and the comments in wrangler.toml from these declarations.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, Self, get_args, get_origin

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
from signup.hashing.password_hasher import LONGEST_PASSWORD
from signup.hashing.peppers import Peppers
from signup.problems import Misconfigured

# Return the value of a binding, or None where there is none. Vars are text or numbers, secrets are text.
Bindings = Callable[[str], object]

_HOST = r"[a-z0-9.-]+"
# As a browser writes an origin: in lower case, without a default port and without a path. A wildcard is not an origin.
_ORIGIN = re.compile(rf"https?://(?:{_HOST}|\[[0-9a-f:]+\])(?!:(80|443)$)(:\d{{1,5}})?")
# A Content Security Policy names the host, and has no syntax for an IPv6 address.
_PAGE_URL = re.compile(rf"https?://{_HOST}(?::\d{{1,5}})?(?:[/?#].*)?")


@dataclass(frozen=True, slots=True)
class TurnstileSettings:
    """The settings of the bot check.

    Args:
        secret: the widget's secret key.
        hostnames: the hosts of the pages with the widget.
        action: the action that a token must have been issued for.
        url: the URL of siteverify.
        timeout: seconds that the check may take.
        site_key: the widget's public key, for our own page; "" for a page without the widget.
    """

    secret: SecretStr
    hostnames: frozenset[str]
    action: str
    url: str
    timeout: float
    site_key: str


def _setting(info: ValidationInfo) -> str:
    """Return the name of the setting that is validated."""
    return str(info.field_name).upper()


def _check_database_url(value: SecretStr) -> SecretStr:
    find_dialect(value)
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
        raise Misconfigured(_setting(info), "must be a URL without a query and a fragment")
    return f"{value.rstrip('/')}/"


class Settings(BaseModel):
    """Every setting of the Worker, checked. A field is named as its binding, in lower case.

    The first sentence of a description is a summary; comments in wrangler.toml show it alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    database_url: Annotated[SecretStr, AfterValidator(_check_database_url)] = Field(
        description="Data proxy, with its credentials. Not needed with a binding `HYPERDRIVE`. Percent-encode "
        "characters of the token, user or password that have a meaning in a URL.",
        examples=["sql+http://TOKEN@127.0.0.1:8080/"],
    )
    password_min_length: int = Field(
        default=15,
        ge=8,
        le=LONGEST_PASSWORD,
        description="Shortest password, in code points. NIST SP 800-63B-4 requires 15 where the password is the only "
        "factor.",
    )
    service_name: str = Field(
        default="signup", description="Name on the page. No password may be built from it. See docs/page.md."
    )
    page_colour: str = Field(
        default="",
        pattern="^#[0-9a-fA-F]{6}$",
        description="Accent colour of the page. Text on it is black or white, whichever contrasts more.",
        examples=["#1d4ed8"],
    )
    next_url: Annotated[str, AfterValidator(_check_page_url)] = Field(
        default="",
        description="Where the page leads after a sign-up. An https URL, or http on loopback; without it the page "
        "confirms the sign-up.",
        examples=["https://www.example.com/welcome"],
    )
    hash_profile: Literal[
        "m=19456,t=2,p=1", "m=47104,t=1,p=1", "m=12288,t=3,p=1", "m=9216,t=4,p=1", "m=7168,t=5,p=1"
    ] = Field(
        default="m=19456,t=2,p=1",
        description="Parameters of Argon2id: memory in KiB, passes, lanes. Each is a row of OWASP's table. See "
        "docs/passwords.md.",
    )
    hash_queue: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Passwords that may wait to be hashed in an isolate. 0 is as many as fit in a quarter of "
        "`REQUEST_DEADLINE`.",
    )
    password_pepper: SecretStr = Field(
        default=SecretStr(""),
        description="Key of the password hashes: a name of 1 to 11 of `A-Z a-z 0-9 + / . -`, a colon, and at least 32 "
        "bytes in base64. `openssl rand -base64 32` makes such a key. See docs/passwords.md.",
        examples=["2026a:BASE64"],
    )
    password_pepper_previous: SecretStr = Field(
        default=SecretStr(""),
        description="Keys before it, separated by commas. Keep each as long as there are hashes that it was used for.",
        examples=["2025b:BASE64,2025a:BASE64"],
    )
    breach_check: Literal["off", "on", "strict"] = Field(
        default="off",
        description="Whether passwords are looked up in published breaches. When the look-up fails, `on` accepts the "
        "password and `strict` refuses it. See docs/passwords.md.",
    )
    breach_timeout: float = Field(default=1.0, ge=0.1, le=5, description="Longest look-up of a password, in seconds.")
    breach_api_url: Annotated[str, AfterValidator(_check_base_url)] = Field(
        default="https://api.pwnedpasswords.com/range/",
        description="Range API of Have I Been Pwned, or a mirror. An https URL, or http on loopback.",
    )
    proxy_timeout: float = Field(
        default=5.0, ge=0.1, le=30, description="Longest exchange with the data proxy, in seconds."
    )
    request_deadline: float = Field(
        default=10.0,
        ge=0.5,
        le=300,
        description="Longest sign-up, in seconds, with all its retries. It bounds `PROXY_TIMEOUT` too.",
    )
    email_subaddressing: Literal["keep", "refuse"] = Field(
        default="keep",
        description="Whether addresses with a plus are accepted. `ada+shop@example.com` is one. See docs/input.md.",
    )
    cors_origins: Annotated[str, AfterValidator(_check_origins)] = Field(
        default="",
        description="Origins of other pages that may sign users up. They are separated by commas; each is https, or "
        "http on loopback.",
        examples=["https://www.example.com,http://localhost:3000"],
    )
    duplicate_response: Literal["conflict", "conceal"] = Field(
        default="conflict",
        description="Answer to a sign-up with a taken address. `conflict` is 409. `conceal` is 202 with "
        '`{"msg": "Sign-up accepted"}`, for new and known addresses alike. See docs/abuse.md.',
    )
    turnstile_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Secret key of the Turnstile widget. When it is set, a sign-up needs a token of the widget in the "
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
        description="Public key of the widget. The page needs it to show the widget when `TURNSTILE_SECRET` is set. "
        "See docs/page.md.",
        examples=["1x00000000000000000000AA"],
    )
    turnstile_timeout: float = Field(default=3.0, ge=0.1, le=30, description="Longest bot check, in seconds.")
    turnstile_url: Annotated[str, AfterValidator(_check_url)] = Field(
        default="https://challenges.cloudflare.com/turnstile/v0/siteverify",
        description="URL of siteverify. An https URL, or http on loopback.",
    )

    @classmethod
    def from_bindings(cls, bindings: Bindings) -> "Settings":
        """Read and check every setting. An empty text is an absent setting.

        Raises:
            Misconfigured: naming the first setting that is missing or wrong, never its value.
        """
        given = {}
        for name in cls.model_fields:
            value = bindings(name.upper())
            if isinstance(value, str):
                value = value.strip()
                if any("\ud800" <= each <= "\udfff" for each in value):
                    raise Misconfigured(name.upper(), "must be text in UTF-8")
            if value is not None and value != "":
                given[name] = value
        if bindings(hyperdrive.BINDING) is not None:
            given.setdefault("database_url", hyperdrive.URL)
        try:
            return cls.model_validate(given)
        except ValidationError as exc:
            first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        name = str(first["loc"][0])
        raise Misconfigured(name.upper(), _reason(name, first["type"]))

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        _ = self.peppers
        if self.turnstile is not None and not self.turnstile.hostnames:
            raise Misconfigured("TURNSTILE_HOSTNAMES", "must list the hosts of the pages with the widget")
        return self

    @property
    def peppers(self) -> Peppers:
        """The keys of the password hashes."""
        return Peppers.parse(self.password_pepper.get_secret_value(), self.password_pepper_previous.get_secret_value())

    @property
    def turnstile(self) -> TurnstileSettings | None:
        """The settings of the bot check; None without one."""
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
        """The origins of other pages that may sign users up."""
        return _split(self.cors_origins)

    @property
    def subaddressing(self) -> bool:
        """Whether addresses with a plus are accepted."""
        return self.email_subaddressing == "keep"

    @property
    def conceal(self) -> bool:
        """Whether a taken address is answered like a new one."""
        return self.duplicate_response == "conceal"


def _split(text: str) -> frozenset[str]:
    """Return the parts of a comma-separated text."""
    return frozenset(each.strip() for each in text.split(",")) - {""}


def _reason(name: str, error: str) -> str:
    """Return what a setting must be.

    Args:
        name: the field.
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
