"""CORS, and protection from cross-site request forgery.

Of all web pages, only the Worker's own and those of listed origins may post. Browsers send the origin of a page in
`Origin` (RFC 6454, Fetch), and its relation to the Worker's origin in `Sec-Fetch-Site`
(https://www.w3.org/TR/fetch-metadata/). A page can change neither. Other clients need not send them and are not
affected: the checks protect users from malicious pages, not the service from clients.
"""

from collections.abc import Mapping

from signup.problems import CrossOriginRefused

# Headers that a page may read, headers that it may send, and seconds for which a browser may cache a preflight.
EXPOSED = "idempotency-replayed, retry-after, x-request-id"
SENT = "content-type, idempotency-key"
MAX_AGE = 7200
# The value of `Origin` for a page that hides its origin.
OPAQUE = "null"


class Origins:
    """The origins, besides the Worker's own, whose pages may send requests.

    Args:
        allowed: exact origins, such as `https://www.example.com`; empty for no CORS.
    """

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        self.allowed = allowed

    def require_own(self, headers: Mapping[str, str], own: str, *, without_referrer: bool = False) -> None:
        """Refuse a request from a page whose origin is neither the Worker's nor allowed.

        Args:
            headers: the headers of the request.
            own: the Worker's origin, from the URL of the request.
            without_referrer: whether the Worker's own page has the referrer policy no-referrer. Browsers then send the
                origin "null", and only `Sec-Fetch-Site` distinguishes the page from a page of another origin.

        Raises:
            CrossOriginRefused: the page's origin is neither the Worker's nor allowed.
        """
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        if origin in self.allowed:
            return
        if without_referrer and origin == OPAQUE:
            origin = None
        # "none" means that the user started the request, for example by typing the URL. Old browsers send no
        # Sec-Fetch-Site, and some send no Origin to the page's own origin.
        if site not in ("same-origin", "none") or origin not in (None, own):
            raise CrossOriginRefused

    def preflight(self, headers: Mapping[str, str]) -> dict[str, str] | None:
        """Return the headers of the response to a CORS preflight; None for other requests, or if CORS is off.

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
        """Return the CORS headers of a response, which allow a page of a listed origin to read it."""
        if not self.allowed:
            return {}
        vary = {"vary": "origin"}
        if headers.get("origin") not in self.allowed:
            return vary
        return vary | {"access-control-allow-origin": headers["origin"], "access-control-expose-headers": EXPOSED}
