"""Parse and check URLs in settings."""

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

import httpx

from signup.problems import Misconfigured

# RFC 1035: labels have at most 63 characters, names at most 253. Underscores occur in host names of containers.
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,254}}$){_LABEL}(?:\.{_LABEL})*\.?")
# A host whose last label is a number must be an IPv4 address (https://url.spec.whatwg.org/#ends-in-a-number-checker).
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")


def parse(setting: str, text: str) -> SplitResult:
    """Return the parts of a setting's URL, with a host that `fetch` and httpx accept.

    Raises:
        Misconfigured: the URL is malformed; the message does not quote it.
    """
    if not text.isascii() or not text.isprintable() or " " in text:
        raise Misconfigured(setting, "is not a URL: percent-encode all characters that are not printable ASCII")
    try:
        url = urlsplit(text)
        _ = url.port  # raises if it is invalid
        _ = httpx.URL(text).host  # raises if the host is not valid IDNA
    except (ValueError, httpx.InvalidURL):
        raise Misconfigured(setting, "is not a URL") from None
    if not url.hostname:
        raise Misconfigured(setting, "is not a URL with a host")
    if not _is_host(url.hostname):
        raise Misconfigured(
            setting, "is not a URL with a valid host name or IP address: labels have 1 to 63 characters"
        )
    return url


def parse_web(setting: str, text: str) -> SplitResult:
    """Return the parts of a setting's URL, which must be https, or http on loopback.

    Raises:
        Misconfigured: the URL is malformed, neither https nor http on loopback, or has credentials, which `fetch`
            refuses.
    """
    url = parse(setting, text)
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(str(url.hostname))):
        raise Misconfigured(setting, "must be an https URL, or http on loopback")
    if "@" in url.netloc:
        raise Misconfigured(setting, "must be a URL without credentials")
    return url


def is_address(host: str) -> bool:
    """Return whether a host is an IP address. An IPv6 address must have no brackets and no zone."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def is_loopback(host: str) -> bool:
    """Return whether a host is a loopback address or `localhost`. Plain HTTP to it does not leave the machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_host(host: str) -> bool:
    return is_address(host) or (_NAME.fullmatch(host) is not None and _NUMERIC.fullmatch(host) is None)
