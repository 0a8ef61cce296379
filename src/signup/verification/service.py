"""The use cases of e-mail verification. They do not depend on HTTP or on a data proxy's protocol."""

from typing import Literal

from signup.problems import BadVerificationToken
from signup.verification.store import VerificationStore
from signup.verification.tokens import Claims, TokenSigner


class Verification:
    """Verifies addresses, removes accounts, and sends links again.

    Args:
        signer: verifies the tokens.
        store: stores the users.
    """

    def __init__(self, signer: TokenSigner, store: VerificationStore) -> None:
        self._signer = signer
        self._store = store

    def read(self, token: str) -> Claims:
        """Return the claims of a token. The database is not queried, so link previews and mail scanners cause no load.

        Raises:
            BadVerificationToken, VerificationExpired: the token is not valid, or has expired.
        """
        return self._signer.verify(token)

    async def verify(self, token: str, deadline: float) -> Literal["verified", "already_verified"]:
        """Verify the address of a token. This is safe to repeat.

        Raises:
            BadVerificationToken: the token is not valid, or its user was removed or replaced.
            VerificationExpired: the token has expired.
            Problem: the address was not verified, or it is unknown whether it was.
        """
        claims = self._signer.verify(token)
        result = await self._store.verify(claims.user_id, claims.email, deadline=deadline)
        if result == "unknown":
            raise BadVerificationToken("unknown_user")
        return "verified" if result == "verified" else "already_verified"

    async def remove(self, token: str, deadline: float) -> Literal["removed", "nothing_to_remove"]:
        """Remove the unverified user of a token.

        The owner of an address requests this if another person signed up with it.

        Raises:
            BadVerificationToken, VerificationExpired: the token is not valid, or has expired.
            Problem: the user was not removed, or it is unknown whether it was.
        """
        claims = self._signer.verify(token)
        removed = await self._store.remove(claims.user_id, claims.email, deadline=deadline)
        return "removed" if removed else "nothing_to_remove"

    async def resend(self, email: str, language: str, deadline: float) -> None:
        """Record another e-mail for the unverified user with this address, if any; see `VerificationStore.request`.

        Raises:
            Problem: the e-mail was not recorded, or it is unknown whether it was.
        """
        await self._store.request(email, language, deadline=deadline)
