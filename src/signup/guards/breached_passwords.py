"""Passwords that stand on published lists: a guard over the range API of Have I Been Pwned.

Only the first five hexadecimal digits of the password's SHA-1 leave the Worker; the answer lists the rest of every
known hash that begins so, each with how often it was seen, and the comparison is made here ("k-anonymity"). SHA-1 is
what the API speaks; it protects nothing and is stored nowhere. The API: https://haveibeenpwned.com/API/v3#PwnedPasswords
"""

import re
import time
from collections.abc import Callable
from hashlib import sha1

import httpx

from signup.database.circuit_breaker import CircuitBreaker
from signup.http_client import Http
from signup.problems import BreachCheckUnavailable, FieldError, ProxyUnavailable, ValidationFailed
from signup.registration.service import Attempt

PREFIX = 5
BREACHED = FieldError("password", "breached")

# Padding makes answers of one length out of lists of many, so that their size does not tell the prefix.
_HEADERS = {"add-padding": "true", "accept": "text/plain"}
_RANGE = re.compile(rb"(?:[0-9A-F]{35}:\d{1,12}(?:\r?\n|$))+")


class RangeApi:
    """The lists, by the beginning of a hash.

    What does not answer is left alone for a while, as a data proxy is, so that not every sign-up waits for it.

    Args:
        http: what the API is asked with.
        url: the API's, to which the prefix is appended.
        timeout: seconds for one exchange, answer included.
        clock: seconds, monotonic.
    """

    def __init__(self, http: Http, url: str, timeout: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._http = http
        self._url = url
        self._timeout = timeout
        self._clock = clock
        self._circuit = CircuitBreaker(clock)

    async def __call__(self, prefix: str, deadline: float) -> bytes:
        """Return the lines for a prefix, each of 35 hexadecimal digits in upper case, a colon and a count.

        Raises:
            BreachCheckUnavailable: there is no such answer by `deadline`, on the clock, or within the time for one.
        """
        try:
            self._circuit.begin()
        except ProxyUnavailable as exc:
            reason = "the breach check failed repeatedly; the circuit is open"
            raise BreachCheckUnavailable(reason, exc.retry_after) from exc
        timeout = max(0.0, min(self._timeout, deadline - self._clock()))
        try:
            answer = await self._http.endpoint(self._url + prefix, _HEADERS).get(timeout)
        except httpx.HTTPError as exc:
            self._circuit.failed()
            raise BreachCheckUnavailable(f"the breach check did not answer ({type(exc).__name__})") from exc
        content = answer.content.upper()
        if answer.status_code != httpx.codes.OK or not _RANGE.fullmatch(content):
            self._circuit.failed()
            raise BreachCheckUnavailable(f"the breach check answered {answer.status_code}, and no list")
        self._circuit.succeeded()
        return content


class BreachCheck:
    """Refuse a sign-up whose password is on a list.

    Args:
        api: the lists.
        warn: gets a line for each password that was not checked and is let through.
        strict: whether a sign-up is refused when its password cannot be checked.
    """

    def __init__(self, api: RangeApi, warn: Callable[[str], None], *, strict: bool) -> None:
        self._api = api
        self._warn = warn
        self._strict = strict

    async def __call__(self, attempt: Attempt) -> None:
        """Return if the password is on no list, or if that cannot be known and the check is not strict.

        Raises:
            ValidationFailed: it is on one.
            BreachCheckUnavailable: it cannot be known, and the check is strict.
        """
        password = attempt.request.password.get_secret_value().encode()
        digest = sha1(password, usedforsecurity=False).hexdigest().upper()
        try:
            known = await self._api(digest[:PREFIX], attempt.deadline)
        except BreachCheckUnavailable as problem:
            if self._strict:
                raise
            self._warn(f"a password was accepted unchecked: {problem.reason}")
            return
        # A count of 0 is padding.
        if re.search(rb"^" + digest[PREFIX:].encode() + rb":0*[1-9]", known, re.MULTILINE):
            raise ValidationFailed([BREACHED])
