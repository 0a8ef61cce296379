"""Verification tokens in the links of e-mails (`signup.hashing.signed_tokens`).

The values of a token are the user's id as text, the address, the expiry in seconds since 1970, the name as shown in the
e-mail, and the time of the sign-up in seconds since 1970. The purpose is `signup verify-email 1`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pydantic import SecretBytes

from signup.hashing.signed_tokens import SignedTokens, TokenError
from signup.problems import BadVerificationToken, VerificationExpired

# The maximum length of a token, in characters. A test checks that a token with the longest address, id and name fits.
LONGEST_TOKEN = 1024
_PURPOSE = "signup verify-email 1"


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a token.

    Args:
        user_id: the id of the user's row, as text. A replacement row has a different id.
        email: the address, in its canonical form.
        expires_at: the expiry, in seconds since 1970.
        name: the name as shown in the e-mail; "" for none.
        signed_up_at: the time of the sign-up, in seconds since 1970.
    """

    user_id: str
    email: str = field(repr=False)
    expires_at: int
    name: str = field(repr=False)
    signed_up_at: int


class TokenSigner:
    """Signs and verifies tokens.

    Args:
        keys: the signature keys, of which the first signs. A token is valid if any of them signed it.
        clock: returns the time, in seconds since 1970.
    """

    def __init__(self, keys: Sequence[SecretBytes], clock: Callable[[], float] = time.time) -> None:
        self._tokens = SignedTokens(_PURPOSE, keys, LONGEST_TOKEN)
        self._clock = clock

    def sign(self, claims: Claims) -> str:
        """Return the token of these claims. Equal claims produce the same token."""
        return self._tokens.sign(claims.user_id, claims.email, claims.expires_at, claims.name, claims.signed_up_at)

    def verify(self, token: str) -> Claims:
        """Return the claims of a token.

        Raises:
            BadVerificationToken: the token is malformed, or no key signed it.
            VerificationExpired: the token has expired.
        """
        try:
            claims = Claims(*self._tokens.verify(token))
        except TokenError as exc:
            raise BadVerificationToken(exc.reason) from None
        except TypeError:
            raise BadVerificationToken("invalid_token") from None
        if self._clock() >= claims.expires_at:
            raise VerificationExpired
        return claims
