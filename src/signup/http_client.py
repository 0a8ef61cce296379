"""HTTP requests over an httpx transport."""

from collections.abc import Mapping
from functools import cached_property

import httpx

# The request extension that tells the transport whether to read the body of the response.
READS_BODY = "reads_body"
# Headers of every request, unless the endpoint overrides them.
_DEFAULT_HEADERS = {"accept": "*/*", "user-agent": "signup"}


class Endpoint:
    """A URL with constant headers, for repeated requests.

    Args:
        transport: sends the requests.
        timeout: the timeout of an exchange, in seconds, unless the call sets another.
        url: the URL.
        headers: the headers of each request.
        reads_body: whether to read the bodies of responses; otherwise they are discarded.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        timeout: float,
        url: str,
        headers: Mapping[str, str],
        *,
        reads_body: bool = True,
    ) -> None:
        self._transport = transport
        self._timeout = timeout
        self._url_text = url
        self._headers = httpx.Headers({**_DEFAULT_HEADERS, **headers})
        self._reads_body = reads_body

    async def post(
        self, content: bytes, *, headers: Mapping[str, str] | None = None, seconds: float | None = None
    ) -> httpx.Response:
        """Send a POST request and return the response, whatever its status. Redirects are returned, not followed.

        Args:
            content: the body.
            headers: additional headers.
            seconds: the timeout of this exchange, in seconds; None for the endpoint's timeout.

        Raises:
            httpx.TransportError: there was no valid response in time.
            httpx.InvalidURL: the URL is malformed.
        """
        return await self._send("POST", content, headers, seconds)

    async def get(self, seconds: float | None = None) -> httpx.Response:
        """Send a GET request and return the response; see `post`."""
        return await self._send("GET", None, None, seconds)

    @cached_property
    def _url(self) -> httpx.URL:
        return httpx.URL(self._url_text)

    async def _send(
        self, method: str, content: bytes | None, headers: Mapping[str, str] | None, seconds: float | None
    ) -> httpx.Response:
        timeout = httpx.Timeout(self._timeout if seconds is None else seconds)
        merged = httpx.Headers({**self._headers, **headers}) if headers else self._headers
        extensions = {"timeout": timeout.as_dict(), READS_BODY: self._reads_body}
        request = httpx.Request(method, self._url, headers=merged, content=content, extensions=extensions)
        # httpx's client is not used: its cookies, redirects and authentication must not apply here, and a
        # request takes several times as long with it.
        response = await self._transport.handle_async_request(request)
        try:
            if self._reads_body:
                await response.aread()
        finally:
            await response.aclose()
        return response


class Http:
    """Creates endpoints that share a transport and a timeout.

    Args:
        transport: sends the requests of the endpoints.
        timeout: the timeout of an exchange, in seconds, unless the call sets another.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, timeout: float) -> None:
        self._transport = transport
        self._timeout = timeout

    def endpoint(self, url: str, headers: Mapping[str, str], *, reads_body: bool = True) -> Endpoint:
        """Return an endpoint with the shared transport and timeout. `Endpoint` describes the arguments."""
        return Endpoint(self._transport, self._timeout, url, headers, reads_body=reads_body)
