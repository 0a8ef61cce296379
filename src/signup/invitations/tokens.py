"""Invitations, and their tokens in links (`signup.hashing.signed_tokens`).

The values of a token are the id, the invited address or domain, the number of uses, the expiry in seconds since 1970,
and whether the address counts as verified. The purpose is `signup invitation 1`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field

from pydantic import SecretBytes

from signup.fields.email_address import domain_of
from signup.hashing.signed_tokens import SignedTokens, TokenError
from signup.problems import BadInvitation

# The maximum length of a token, in characters. A test checks that the token of the longest address fits.
LONGEST_TOKEN = 640
_PURPOSE = "signup invitation 1"
# The types of a token's values, in the order of the fields of `Invitation`.
_TYPES = [str, str, int, int, bool]


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation to sign up, for one address or for the addresses of a domain.

    Args:
        id: a random text that identifies the invitation when its uses are counted.
        invited: the address that may sign up, or a domain whose addresses may, in canonical form. `*.` before a domain
            stands for its subdomains.
        uses: the maximum number of uses. A use is a new user or, if so configured, a sign-up with a taken address.
        expires_at: the expiry, in seconds since 1970.
        verifies: whether the address counts as verified; never true for a domain.
    """

    id: str
    invited: str = field(repr=False)
    uses: int
    expires_at: int
    verifies: bool = False

    @property
    def address(self) -> str | None:
        """The invited address; None for a domain."""
        return self.invited if "@" in self.invited else None

    def admits(self, email: str) -> bool:
        """Return whether a canonical address may sign up."""
        if self.address is not None:
            return email == self.address
        domain = domain_of(email)
        return domain == self.invited or (self.invited.startswith("*.") and domain.endswith(self.invited[1:]))


class InvitationTokens:
    """Signs and verifies the tokens of invitations.

    Args:
        keys: the signature keys, of which the first signs. A token is valid if any of them signed it.
        clock: returns the time, in seconds since 1970.
    """

    def __init__(self, keys: Sequence[SecretBytes], clock: Callable[[], float] = time.time) -> None:
        self._tokens = SignedTokens(_PURPOSE, keys, LONGEST_TOKEN)
        self._clock = clock

    def sign(self, invitation: Invitation) -> str:
        """Return the token of an invitation."""
        return self._tokens.sign(*astuple(invitation))

    def read(self, token: str) -> Invitation:
        """Return the invitation of a token, even if it has expired.

        Raises:
            BadInvitation: the token is malformed, or no key signed it, or it would verify a whole domain.
        """
        try:
            values = self._tokens.verify(token)
        except TokenError as exc:
            raise BadInvitation(exc.reason) from None
        # Other applications may sign invitations too, so the types of the values must be checked.
        if [type(value) for value in values] != _TYPES:
            raise BadInvitation("invalid_token")
        invitation = Invitation(*values)
        # Such an invitation would verify every address of the domain.
        if invitation.verifies and invitation.address is None:
            raise BadInvitation("invalid_token")
        return invitation

    def verify(self, token: str) -> Invitation:
        """Return the invitation of a token. Its uses are not checked here: the sign-up's statement counts them.

        Raises:
            BadInvitation: see `read`; also if the invitation has expired.
        """
        invitation = self.read(token)
        if self._clock() >= invitation.expires_at:
            raise BadInvitation("invitation_expired")
        return invitation
