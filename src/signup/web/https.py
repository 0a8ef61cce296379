"""HTTPS between client and Worker: plain HTTP is refused where the Worker is deployed."""

from functools import lru_cache
from urllib.parse import urlsplit

from signup.urls import is_address

# RFC 6797. A year, for this host alone: what else is below its domain is not the Worker's to decide.
STRICT_TRANSPORT_SECURITY = "max-age=31536000"


@lru_cache(maxsize=64)
def is_insecure(origin: str) -> bool:
    """Return whether a request to this origin crossed a network in the clear."""
    return origin.startswith("http://") and not _is_local(origin)


@lru_cache(maxsize=64)
def security_headers(origin: str) -> dict[str, str]:
    """Return the headers of every answer of this origin; none over plain HTTP, where RFC 6797 forbids them."""
    secure = origin.startswith("https://") and not _is_local(origin)
    return {"strict-transport-security": STRICT_TRANSPORT_SECURITY} if secure else {}


def secure_url(origin: str, path: str, query: str) -> str:
    """Return the same URL over HTTPS, at its own port: the one of the request was that of plain HTTP."""
    return f"https://{urlsplit(origin).hostname}{path}{query}"


def _is_local(origin: str) -> bool:
    """Return whether an origin is of `wrangler dev`: this machine, or an address of a local network."""
    host = urlsplit(origin).hostname or ""
    return is_address(host) or f".{host}".endswith(".localhost")
