"""HTTP requests over one of httpx's transports."""

from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx


class Endpoint:
    """A URL that is requested again and again, with headers that stay the same.

    Args:
        client: sends the requests.
        url: the URL.
        headers: sent with each request.
    """

    def __init__(self, client: httpx.AsyncClient, url: str, headers: Mapping[str, str]) -> None:
        self._client = client
        self._url = url
        self._headers = dict(headers)

    async def post(
        self, content: bytes, *, headers: Mapping[str, str] | None = None, seconds: float | None = None
    ) -> httpx.Response:
        """Return the response to a POST, whatever its status; redirects are returned, not followed.

        Args:
            content: the body.
            headers: further headers.
            seconds: the timeout of this exchange, instead of the client's.

        Raises:
            httpx.TransportError: there is no response, or not in time.
            httpx.InvalidURL: the URL is malformed.
        """
        return await self._send("POST", content, headers or {}, seconds)

    async def get(self, seconds: float | None = None) -> httpx.Response:
        """Return the response to a GET, as `post` does."""
        return await self._send("GET", None, {}, seconds)

    async def _send(
        self, method: str, content: bytes | None, headers: Mapping[str, str], seconds: float | None
    ) -> httpx.Response:
        timeout = httpx.USE_CLIENT_DEFAULT if seconds is None else seconds
        merged = {**self._headers, **headers}
        return await self._client.request(method, self._url, content=content, headers=merged, timeout=timeout)


class Http:
    """Make endpoints.

    Args:
        transport: sends their requests.
        timeout: seconds for an exchange that has no timeout of its own.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, timeout: float) -> None:
        # A cookie of one user's exchange must not go with another's.
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        self._client = httpx.AsyncClient(
            transport=transport,
            timeout=timeout,
            cookies=no_cookies,
            headers={"user-agent": "signup"},
            trust_env=False,
        )

    def endpoint(self, url: str, headers: Mapping[str, str]) -> Endpoint:
        """Return the endpoint at a URL, which gets these headers with each request."""
        return Endpoint(self._client, url, headers)
