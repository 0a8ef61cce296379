"""Authentication of clients by token."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes, urlsplit

from sqlproxy.errors import Unauthorized

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["AUTHENTICATED", "Authenticator"]

# The name of the ASGI scope extension by which the application reports to the server that a request's token is valid.
# The entry "call" of the extension is the function to call, without arguments.
AUTHENTICATED = "sqlproxy.authenticated"


class Authenticator:
    """Checks tokens in constant time.

    The digests of the tokens are compared, so that the time does not depend on the lengths of the valid tokens either.

    Args:
        tokens: the valid tokens: one, or two during a rotation.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        self._digests = [sha256(token.encode()).digest() for token in tokens]

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Check the token in `Authorization: Bearer`, or else the password in `Neon-Connection-String`.

        Args:
            headers: the headers by lower-case name.

        Raises:
            Unauthorized: the token is missing or not valid.
        """
        digest = sha256(_token(headers)).digest()
        # any() would stop at the first match.
        if not sum(hmac.compare_digest(digest, valid) for valid in self._digests):
            raise Unauthorized("a valid token is required")


def _token(headers: Mapping[bytes, bytes]) -> bytes:
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return token.strip()
    try:
        password = urlsplit(headers.get(b"neon-connection-string", b"").decode("latin-1")).password
    except ValueError:
        return b""
    return unquote_to_bytes(password or "")
