"""HTTP requests over one of httpx's transports."""

from collections.abc import Mapping
from functools import cached_property, lru_cache

import httpx


class Endpoint:
    """A URL that is asked again and again, with headers that stay the same; answers are read whole.

    Of httpx this takes requests, answers, exceptions and the transport's interface, and leaves its client out. That
    keeps cookies from one user's request to the next, and in an isolate the work that it does for each request (merging
    URLs, headers, cookies, authentication, redirects) takes longer than all else between Python and the network.

    Args:
        transport: sends the requests.
        url: where to.
        headers: sent with each.
        timeout: seconds for an exchange that has none of its own.
    """

    def __init__(
        self, transport: httpx.AsyncBaseTransport, url: str, headers: Mapping[str, str], timeout: float
    ) -> None:
        self._transport = transport
        self._text = url
        self._own = headers
        self._sized = lru_cache(maxsize=64)(self._with_length)
        self._timeout = timeout

    async def post(
        self, content: bytes, *, headers: Mapping[str, str] | None = None, seconds: float | None = None
    ) -> httpx.Response:
        """Return the answer, whatever its status; a redirect is one as well.

        Args:
            content: the body.
            headers: further ones.
            seconds: for this exchange.

        Raises:
            httpx.TransportError: there is none, or not in time.
            httpx.InvalidURL: the URL is none.
        """
        sent = self._sized(len(content))
        if headers:
            sent = sent.copy()
            sent.update(headers)
        return await self._send("POST", sent, content, seconds)

    async def get(self, seconds: float | None = None) -> httpx.Response:
        """Return the answer, as `post` does."""
        return await self._send("GET", self._headers, b"", seconds)

    @cached_property
    def _url(self) -> httpx.URL:
        return httpx.URL(self._text)

    @cached_property
    def _headers(self) -> httpx.Headers:
        host = self._url.netloc.decode("ascii")
        # With its encoding known httpx has nothing to find out.
        return httpx.Headers({"accept": "*/*", **self._own, "host": host}, encoding="latin-1")

    def _with_length(self, length: int) -> httpx.Headers:
        sent = self._headers.copy()
        sent["content-length"] = str(length)
        return sent

    async def _send(self, method: str, headers: httpx.Headers, content: bytes, seconds: float | None) -> httpx.Response:
        limits = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout if seconds is None else seconds)
        request = httpx.Request(
            method, self._url, headers=headers, stream=httpx.ByteStream(content), extensions={"timeout": limits}
        )
        answer = await self._transport.handle_async_request(request)
        await answer.aread()
        return answer


class Http:
    """Makes endpoints.

    Args:
        transport: sends their requests.
        timeout: seconds for an exchange that has none of its own.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, timeout: float) -> None:
        self._transport = transport
        self._timeout = timeout

    def endpoint(self, url: str, headers: Mapping[str, str]) -> Endpoint:
        """Return the endpoint at a URL, which gets these headers with each request."""
        return Endpoint(self._transport, url, headers, self._timeout)
