"""The Worker's settings: its bindings (vars and secrets), read and checked once per isolate."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from signup.passwords import LONGEST_PASSWORD
from signup.problems import Misconfigured

# What a binding is read by: its value, or None where there is none. Vars are text or numbers, secrets are text.
Bindings = Callable[[str], object]

SITEVERIFY = "https://challenges.cloudflare.com/turnstile/v0/siteverify"

# In the clear only for pages of the machine in front of which one sits.
_ORIGIN = re.compile(r"(https://[a-z0-9.-]+|http://(localhost|127\.0\.0\.1))(?!:(80|443)$)(:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class TurnstileSettings:
    """How to check.

    Args:
        secret: the widget's secret key.
        hostnames: of the pages that the widget may stand on.
        action: what the widget was told that its token is for.
        url: of siteverify.
        timeout: seconds that the check may take.
    """

    secret: SecretStr
    hostnames: frozenset[str]
    action: str = "sign-up"
    url: str = SITEVERIFY
    timeout: float = 3.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What the bindings say.

    Args:
        database_url: which data proxy to use, with its credentials; the forms are in `signup.proxies`.
        password_min_length: code points; NIST SP 800-63B-4 wants 15 where the password is the only factor, and 8 at the
            very least.
        proxy_timeout: seconds that one exchange with the data proxy may take, from connecting to the last byte.
        request_deadline: seconds after which a sign-up is answered at the latest, however often the proxy was asked.
        origins: of the pages that may sign users up beside our own.
        conceal: whether a taken address is answered like a new one.
        turnstile: how to check that a person signs up; None for no such check.
    """

    database_url: SecretStr
    password_min_length: int = 15
    proxy_timeout: float = 5.0
    request_deadline: float = 10.0
    origins: frozenset[str] = frozenset()
    conceal: bool = False
    turnstile: TurnstileSettings | None = None

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
            proxy_timeout=_number(bindings, "PROXY_TIMEOUT", 5.0, 0.1, 30),
            request_deadline=_number(bindings, "REQUEST_DEADLINE", 10.0, 0.5, 300),
            origins=_origins(bindings),
            conceal=_choice(bindings, "DUPLICATE_RESPONSE", "conflict", "conceal") == "conceal",
            turnstile=_turnstile(bindings),
        )


def _origins(bindings: Bindings) -> frozenset[str]:
    origins = frozenset(each.strip() for each in _text(bindings, "CORS_ORIGINS").split(",")) - {""}
    # As a browser writes them: lower case, no default port, no path; a wildcard is no origin.
    if not all(_ORIGIN.fullmatch(each) for each in origins):
        raise Misconfigured("CORS_ORIGINS", "must list exact origins, such as https://www.example.com")
    return origins


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
    )


def _text(bindings: Bindings, name: str) -> str:
    value = bindings(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Misconfigured(name, "must be text")
    return value.strip()


def _choice(bindings: Bindings, name: str, default: str, *others: str) -> str:
    value = _text(bindings, name) or default
    if value not in (default, *others):
        raise Misconfigured(name, f"must be {' or '.join((default, *others))}")
    return value


def _url(bindings: Bindings, name: str, default: str) -> str:
    """Return a URL that a secret may travel to: https, or http to this machine."""
    value = _text(bindings, name) or default
    parts = urlsplit(value)
    if not parts.hostname or (parts.scheme != "https" and (parts.scheme, parts.hostname) != ("http", "127.0.0.1")):
        raise Misconfigured(name, "must be an https URL (or http://127.0.0.1)")
    return value


def _number(bindings: Bindings, name: str, default: float, least: float, most: float) -> float:
    value = bindings(name)
    if value is None or value == "":
        return default
    try:
        number = float(value) if isinstance(value, int | float | str) else float("nan")
    except ValueError:
        number = float("nan")
    if not least <= number <= most or (isinstance(default, int) and number != int(number)):
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise Misconfigured(name, f"must be {kind} from {least} to {most}")
    return number
