"""The guard against breached passwords. It uses the range API of Have I Been Pwned.

Only the first five hexadecimal digits of the password's SHA-1 leave the Worker. The response lists the remaining digits
of all breached hashes with this prefix, and the Worker searches them ("k-anonymity"). The API requires SHA-1. The
hash is not stored. The API: https://haveibeenpwned.com/API/v3#PwnedPasswords
"""

import re
import time
from collections.abc import Callable
from hashlib import sha1

import httpx

from signup.database.circuit_breaker import CircuitBreaker
from signup.http_client import Http
from signup.log import Warn
from signup.problems import BreachCheckUnavailable, FieldError, ProxyUnavailable, ValidationFailed
from signup.registration.service import Attempt

PREFIX = 5
BREACHED = FieldError("password", "breached")

# Padding hides the length of the list, from which an observer could infer the prefix.
_HEADERS = {"add-padding": "true", "accept": "text/plain"}
_RANGE = re.compile(rb"(?:[0-9A-F]{35}:\d{1,12}(?:\r?\n|$))+")


class RangeApi:
    """A client of the range API with a circuit breaker, so that an outage does not delay every sign-up.

    Args:
        http: creates the endpoint of the API.
        url: the URL of the API, to which the prefix is appended.
        timeout: the timeout of an exchange, in seconds.
        clock: returns the monotonic time, in seconds.
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
            BreachCheckUnavailable: the circuit is open, or there was no valid response within the timeout and by
                `deadline`, in seconds on the clock.
        """
        try:
            self._circuit.begin()
        except ProxyUnavailable as exc:
            raise BreachCheckUnavailable("circuit_open", exc.retry_after) from exc
        timeout = max(0.0, min(self._timeout, deadline - self._clock()))
        try:
            response = await self._http.endpoint(self._url + prefix, _HEADERS).get(timeout)
        except httpx.HTTPError as exc:
            self._circuit.failed()
            raise BreachCheckUnavailable("no_response", exception=type(exc).__name__) from exc
        content = response.content.upper()
        if response.status_code != httpx.codes.OK or not _RANGE.fullmatch(content):
            self._circuit.failed()
            raise BreachCheckUnavailable("invalid_response", upstream_status=response.status_code)
        self._circuit.succeeded()
        return content


class BreachCheck:
    """The `Guard` that refuses breached passwords.

    Args:
        api: the client of the range API.
        warn: logs a warning for each password that is accepted unchecked.
        strict: whether a sign-up is refused if its password cannot be checked.
    """

    def __init__(self, api: RangeApi, warn: Warn, *, strict: bool) -> None:
        self._api = api
        self._warn = warn
        self._strict = strict

    async def __call__(self, attempt: Attempt) -> None:
        """Return if the password is not breached, or cannot be checked and the check is not strict.

        Raises:
            ValidationFailed: the password is breached.
            BreachCheckUnavailable: the password cannot be checked, and the check is strict.
        """
        password = attempt.request.password.get_secret_value().encode()
        digest = sha1(password, usedforsecurity=False).hexdigest().upper()
        try:
            lines = await self._api(digest[:PREFIX], attempt.deadline)
        except BreachCheckUnavailable as problem:
            if self._strict:
                raise
            self._warn("breach_check_skipped", reason=problem.reason, **problem.details)
            return
        # A count of 0 is padding.
        if re.search(rb"^" + digest[PREFIX:].encode() + rb":0*[1-9]", lines, re.MULTILINE):
            raise ValidationFailed([BREACHED])
