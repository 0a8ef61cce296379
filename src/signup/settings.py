"""The Worker's settings: its bindings (vars and secrets), read and checked once per isolate."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import SecretStr

from signup import urls
from signup.hashing import peppers
from signup.hashing.password_hasher import LONGEST_PASSWORD, NO_PEPPERS, PROFILES
from signup.hashing.peppers import Peppers
from signup.problems import Misconfigured

BREACH_API_URL = "https://api.pwnedpasswords.com/range/"

# What a binding is read by: its value, or None where there is none. Vars are text or numbers, secrets are text.
Bindings = Callable[[str], object]

SITEVERIFY = "https://challenges.cloudflare.com/turnstile/v0/siteverify"

# In the clear only for pages of the machine in front of which one sits.
_ORIGIN = re.compile(r"(https://[a-z0-9.-]+|http://(localhost|127\.0\.0\.1))(?!:(80|443)$)(:\d{1,5})?")


# What may stand in a header field, and whose origin in a Content Security Policy.
_NEXT = re.compile(r"(?:https://[a-z0-9.-]+|http://(?:localhost|127\.0\.0\.1))(?::\d{1,5})?(?:[/?#][!-~]*)?")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_SITE_KEY = re.compile(r"[\w.-]{0,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TurnstileSettings:
    """How to check.

    Args:
        secret: the widget's secret key.
        hostnames: of the pages that the widget may stand on.
        action: what the widget was told that its token is for.
        url: of siteverify.
        timeout: seconds that the check may take.
        site_key: the widget's public key, for our own page; "" for a page without the widget.
    """

    secret: SecretStr
    hostnames: frozenset[str]
    action: str = "sign-up"
    url: str = SITEVERIFY
    timeout: float = 3.0
    site_key: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the bindings say.

    Args:
        database_url: which data proxy to use, with its credentials; the forms are in `signup.database.dialects`.
        password_min_length: code points; NIST SP 800-63B-4 wants 15 where the password is the only factor, and 8 at the
            very least.
        service_name: what the service calls itself, on the page too; no password may be built from it.
        hash_profile: which of `signup.hashing.password_hasher.PROFILES`.
        hash_queue: how many passwords may wait to be hashed in an isolate; 0 is as many as can be in time.
        peppers: what hashes are keyed with.
        breach_check: whether passwords are looked up on published lists: off; on, and accepted when that fails; strict,
            and refused when it fails.
        breach_timeout: seconds that looking up may take.
        breach_api_url: where, with the range API of Have I Been Pwned.
        proxy_timeout: seconds that one exchange with the data proxy may take, from connecting to the last byte.
        request_deadline: seconds after which a sign-up is answered at the latest, however often the proxy was asked.
        subaddressing: whether addresses with a plus are taken.
        origins: of the pages that may sign users up beside our own.
        conceal: whether a taken address is answered like a new one.
        turnstile: how to check that a person signs up; None for no such check.
        page_colour: the page's accent, `#rrggbb`; "" for its own.
        next_url: where the page leads whoever has signed up; "" for nowhere.
    """

    database_url: SecretStr
    password_min_length: int = 15
    service_name: str = "signup"
    hash_profile: str = "16"
    hash_queue: int = 0
    peppers: Peppers = NO_PEPPERS
    breach_check: str = "off"
    breach_timeout: float = 1.0
    breach_api_url: str = BREACH_API_URL
    proxy_timeout: float = 5.0
    request_deadline: float = 10.0
    subaddressing: bool = True
    origins: frozenset[str] = frozenset()
    conceal: bool = False
    turnstile: TurnstileSettings | None = None
    page_colour: str = ""
    next_url: str = ""

    @classmethod
    def from_bindings(cls, bindings: Bindings) -> "Settings":
        """Read and check every setting.

        Raises:
            Misconfigured: naming the first setting that is missing or wrong, never its value.
        """
        url = bindings("DATABASE_URL")
        if not isinstance(url, str) or not url.strip():
            raise Misconfigured("DATABASE_URL", "is not set; bind it as a secret")
        return cls(
            database_url=SecretStr(url.strip()),
            password_min_length=int(_number(bindings, "PASSWORD_MIN_LENGTH", 15, 8, LONGEST_PASSWORD)),
            service_name=_text(bindings, "SERVICE_NAME") or "signup",
            hash_profile=_choice(bindings, "HASH_PROFILE", *PROFILES),
            hash_queue=int(_number(bindings, "HASH_QUEUE", 0, 0, 1000)),
            peppers=Peppers.parse(_text(bindings, peppers.CURRENT), _text(bindings, peppers.PREVIOUS)),
            breach_check=_choice(bindings, "BREACH_CHECK", "off", "on", "strict"),
            breach_timeout=_number(bindings, "BREACH_TIMEOUT", 1.0, 0.1, 5),
            breach_api_url=_text(bindings, "BREACH_API_URL") or BREACH_API_URL,
            proxy_timeout=_number(bindings, "PROXY_TIMEOUT", 5.0, 0.1, 30),
            request_deadline=_number(bindings, "REQUEST_DEADLINE", 10.0, 0.5, 300),
            subaddressing=_choice(bindings, "EMAIL_SUBADDRESSING", "keep", "refuse") == "keep",
            origins=_origins(bindings),
            conceal=_choice(bindings, "DUPLICATE_RESPONSE", "conflict", "conceal") == "conceal",
            turnstile=_turnstile(bindings),
            page_colour=_matching(bindings, "PAGE_COLOUR", _COLOUR, "must be a colour such as #1d4ed8"),
            next_url=_next_url(bindings),
        )


def _origins(bindings: Bindings) -> frozenset[str]:
    origins = frozenset(each.strip() for each in _text(bindings, "CORS_ORIGINS").split(",")) - {""}
    # As a browser writes them: lower case, no default port, no path; a wildcard is no origin.
    for each in origins:
        if not _ORIGIN.fullmatch(each):
            raise Misconfigured("CORS_ORIGINS", "must list exact origins, such as https://www.example.com")
        urls.parse("CORS_ORIGINS", each)
    return origins


def _next_url(bindings: Bindings) -> str:
    url = _matching(bindings, "NEXT_URL", _NEXT, "must be an https URL (or http to this machine)")
    if url:
        urls.parse("NEXT_URL", url)
    return url


def _turnstile(bindings: Bindings) -> TurnstileSettings | None:
    secret = _text(bindings, "TURNSTILE_SECRET")
    if not secret:
        return None
    hostnames = frozenset(name.strip().lower() for name in _text(bindings, "TURNSTILE_HOSTNAMES").split(",")) - {""}
    if not hostnames:
        raise Misconfigured("TURNSTILE_HOSTNAMES", "must list the hosts of the pages with the widget")
    return TurnstileSettings(
        secret=SecretStr(secret),
        hostnames=hostnames,
        action=_text(bindings, "TURNSTILE_ACTION") or "sign-up",
        url=_url(bindings, "TURNSTILE_URL", SITEVERIFY),
        timeout=_number(bindings, "TURNSTILE_TIMEOUT", 3.0, 0.1, 30),
        site_key=_matching(bindings, "TURNSTILE_SITE_KEY", _SITE_KEY, "must be a site key"),
    )


def _text(bindings: Bindings, name: str) -> str:
    value = bindings(name)
    if value is not None and not isinstance(value, str):
        raise Misconfigured(name, "must be text")
    text = (value or "").strip()
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        raise Misconfigured(name, "must be text in UTF-8") from None
    return text


def _matching(bindings: Bindings, name: str, pattern: re.Pattern[str], reason: str) -> str:
    """Return a text that is as it must be, or "" where there is none."""
    value = _text(bindings, name)
    if value and not pattern.fullmatch(value):
        raise Misconfigured(name, reason)
    return value


def _choice(bindings: Bindings, name: str, default: str, *others: str) -> str:
    value = bindings(name)
    text = "" if value is None else str(value).strip()
    if text not in ("", default, *others):
        raise Misconfigured(name, f"must be {', '.join((default, *others[:-1]))} or {others[-1]}")
    return text or default


def _url(bindings: Bindings, name: str, default: str) -> str:
    """Return a URL that a secret may travel to: https, or http to this machine."""
    value = _text(bindings, name) or default
    parts = urls.parse(name, value)
    if parts.scheme != "https" and (parts.scheme, parts.hostname) != ("http", "127.0.0.1"):
        raise Misconfigured(name, "must be an https URL (or http://127.0.0.1)")
    return value


def _number(bindings: Bindings, name: str, default: float, least: float, most: float) -> float:
    value = bindings(name)
    if value is None or value == "":
        return default
    try:
        number = float(value) if isinstance(value, int | float | str) else float("nan")
    except (ValueError, OverflowError):
        number = float("nan")
    if not least <= number <= most or (isinstance(default, int) and number != int(number)):
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise Misconfigured(name, f"must be {kind} from {least} to {most}")
    return number
