"""How often one client, and one e-mail address, may try: Cloudflare's rate limiting bindings.

A binding counts per location and for a period of 10 or 60 seconds, in memory, without a round trip; wrangler.toml says
how many (https://developers.cloudflare.com/workers/runtime-apis/bindings/rate-limit/).
"""

from collections.abc import Callable
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import Protocol

from signup.problems import RateLimited
from signup.registration.service import Attempt

CLIENT_LIMIT = "CLIENT_LIMIT"
EMAIL_LIMIT = "EMAIL_LIMIT"


class Limiter(Protocol):
    """One rate limiting binding."""

    async def __call__(self, key: str, /) -> bool | None:
        """Count one, and say whether the key is within its limit; None when that cannot be told."""
        ...


class Limits:
    """The two limits. One that is not bound, or fails, lets everybody in, and is warned of once an isolate.

    Args:
        limiter: returns the binding of a name, or None where there is none.
        warn: gets the warnings.
    """

    def __init__(self, limiter: Callable[[str], Limiter | None], warn: Callable[[str], None]) -> None:
        self._limiters = {name: limiter(name) for name in (CLIENT_LIMIT, EMAIL_LIMIT)}
        self._warn = warn
        self._failing: set[str] = set()
        for name, bound in self._limiters.items():
            if bound is None:
                warn(f"{name} is not bound: there is no such limit")

    async def admit(self, client: str) -> None:
        """Return if the client may be heard at all; asked before anything of a request is read.

        Raises:
            RateLimited: it was here too often.
        """
        await self._count(CLIENT_LIMIT, client_key, client)

    async def __call__(self, attempt: Attempt, /) -> None:
        """Return if somebody may try this address again: the `Guard` that counts per e-mail address.

        Raises:
            RateLimited: it was tried too often, by whomever.
        """
        # Its digest, so that the address stays where it is needed.
        await self._count(EMAIL_LIMIT, _digest, attempt.request.email)

    async def _count(self, name: str, key: Callable[[str], str], counted: str) -> None:
        limiter = self._limiters[name]
        if limiter is None:
            return
        within = await limiter(key(counted))
        if within is None and name not in self._failing:
            self._failing.add(name)
            self._warn(f"{name} failed: who comes is let in")
        if within is False:
            raise RateLimited(name)


def _digest(email: str) -> str:
    return sha256(email.encode()).hexdigest()


def client_key(client: str) -> str:
    """Return what a client is counted by: its IPv4 address, or the /64 of its IPv6 address.

    A /64 is what one customer gets at least (RFC 6177), who may send each request from another address of it. What is
    no address is counted as one client together.
    """
    try:
        address = ip_address(client)
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        # An IPv4 client, as some dual-stacked sockets show one.
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return str(address)
