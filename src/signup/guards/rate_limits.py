"""Rate limits per client and per e-mail address. They use Cloudflare's rate limiting bindings.

A binding counts in memory, per location and for a period of 10 or 60 seconds. The limits are in wrangler.toml
(https://developers.cloudflare.com/workers/runtime-apis/bindings/rate-limit/).
"""

from collections.abc import Callable
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import Protocol

from signup.log import Warn
from signup.problems import RateLimited
from signup.registration.service import Attempt

CLIENT_LIMIT = "CLIENT_LIMIT"
EMAIL_LIMIT = "EMAIL_LIMIT"


class Limiter(Protocol):
    """One rate limiting binding."""

    async def __call__(self, key: str, /) -> bool | None:
        """Count one request; return whether the key is within its limit, or None if the binding failed."""
        ...


class Limits:
    """The two rate limits. They fail open, with one warning per limit and isolate.

    Args:
        limiter: returns the named binding, or None if it is not bound.
        warn: logs a warning.
    """

    def __init__(self, limiter: Callable[[str], Limiter | None], warn: Warn) -> None:
        self._limiters = {name: limiter(name) for name in (CLIENT_LIMIT, EMAIL_LIMIT)}
        self._warn = warn
        self._failing: set[str] = set()
        for name, bound in self._limiters.items():
            if bound is None:
                warn("rate_limiter_missing", limit=name)

    async def admit(self, client: str) -> None:
        """Count a request of a client, before its body is read.

        Raises:
            RateLimited: the client exceeded its limit.
        """
        await self._count(CLIENT_LIMIT, client_key, client)

    async def __call__(self, attempt: Attempt, /) -> None:
        """Count a sign-up against the limit of its e-mail address. This is the `Guard`.

        Raises:
            RateLimited: the address exceeded its limit.
        """
        await self.admit_address(attempt.request.email)

    async def admit_address(self, email: str) -> None:
        """Count a request with an e-mail address, from any client.

        Raises:
            RateLimited: the address exceeded its limit.
        """
        # The binding gets a digest, not the address.
        await self._count(EMAIL_LIMIT, _digest, email)

    async def _count(self, name: str, key: Callable[[str], str], value: str) -> None:
        limiter = self._limiters[name]
        if limiter is None:
            return
        is_within = await limiter(key(value))
        if is_within is None and name not in self._failing:
            self._failing.add(name)
            self._warn("rate_limiter_failed", limit=name)
        if is_within is False:
            raise RateLimited(name)


def _digest(email: str) -> str:
    return sha256(email.encode()).hexdigest()


def client_key(client: str) -> str:
    """Return the key of a client: its IPv4 address, or the /64 of its IPv6 address.

    A site has at least a /64 (RFC 6177), and can use a different address in it for each request. Clients without a
    valid address share a key.
    """
    try:
        address = ip_address(client)
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        # An IPv4 client behind a dual-stack socket.
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return str(address)
