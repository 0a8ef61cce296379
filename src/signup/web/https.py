"""HTTPS between client and Worker: a deployed Worker redirects or refuses requests over plain HTTP."""

from functools import lru_cache
from urllib.parse import urlsplit

from signup.urls import is_address

# HSTS (RFC 6797) for a year, for this host only, because its subdomains might not belong to the Worker.
STRICT_TRANSPORT_SECURITY = "max-age=31536000"


@lru_cache(maxsize=64)
def is_insecure(origin: str) -> bool:
    """Return whether a request to this origin was sent over plain HTTP to a deployed Worker."""
    return origin.startswith("http://") and not _is_local(origin)


@lru_cache(maxsize=64)
def security_headers(origin: str) -> dict[str, str]:
    """Return the header Strict-Transport-Security for responses from this origin.

    It is omitted over plain HTTP, where RFC 6797 forbids it, and on `wrangler dev`.
    """
    secure = origin.startswith("https://") and not _is_local(origin)
    return {"strict-transport-security": STRICT_TRANSPORT_SECURITY} if secure else {}


def secure_url(origin: str, path: str, query: str) -> str:
    """Return the HTTPS URL of a request over plain HTTP, with the default port instead of the request's port."""
    return f"https://{urlsplit(origin).hostname}{path}{query}"


def _is_local(origin: str) -> bool:
    """Return whether an origin belongs to `wrangler dev`: its host is an IP address, `localhost` or `*.localhost`."""
    host = urlsplit(origin).hostname or ""
    return is_address(host) or f".{host}".endswith(".localhost")
