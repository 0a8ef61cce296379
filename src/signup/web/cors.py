"""Which web pages may sign users up: none of a foreign origin, unless it is listed.

A browser tells where a request comes from, in `Origin` (RFC 6454, Fetch) and in Fetch Metadata's `Sec-Fetch-Site`
(https://www.w3.org/TR/fetch-metadata/); no page can change either. Whoever is no browser sends neither, and is not
concerned: this protects users from pages, not the service from clients.
"""

from collections.abc import Mapping

from signup.problems import CrossOriginRefused

# What a page may read of an answer beside its body, what it may send, and how many seconds a browser may remember it.
EXPOSED = "idempotency-replayed, retry-after, x-request-id"
SENT = "content-type, idempotency-key"
MAX_AGE = 7200


class Origins:
    """An allow-list of exact origins, such as `https://www.example.com`.

    Args:
        allowed: it; empty for no CORS at all.
    """

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        self.allowed = allowed

    def require_own(self, headers: Mapping[str, str], own: str) -> None:
        """Return if no page of a foreign origin sent this.

        Args:
            headers: of the request.
            own: the origin of the request's URL.

        Raises:
            CrossOriginRefused: one did.
        """
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        if origin in self.allowed:
            return
        # "none" is the user's own doing, such as a typed address. Old browsers send no Sec-Fetch-Site, and some send no
        # Origin to where the page came from.
        if site not in ("same-origin", "none") or origin not in (None, own):
            raise CrossOriginRefused

    def preflight(self, headers: Mapping[str, str]) -> dict[str, str] | None:
        """Return the headers that answer a CORS preflight; None when this is none, or there is no CORS here.

        Raises:
            CrossOriginRefused: the origin is not listed.
        """
        if not self.allowed or "origin" not in headers or "access-control-request-method" not in headers:
            return None
        if headers["origin"] not in self.allowed:
            raise CrossOriginRefused
        return {
            "access-control-allow-methods": "POST",
            "access-control-allow-headers": SENT,
            "access-control-max-age": str(MAX_AGE),
        }

    def shared(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers by which a browser lets the page read the answer, whichever it is."""
        if not self.allowed:
            return {}
        vary = {"vary": "origin"}
        if headers.get("origin") not in self.allowed:
            return vary
        return vary | {"access-control-allow-origin": headers["origin"], "access-control-expose-headers": EXPOSED}
