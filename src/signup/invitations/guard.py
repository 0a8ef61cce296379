"""The check of invitations before the password is hashed. The sign-up's statement counts their uses."""

from dataclasses import replace

from signup.fields.models import INVITATION_FIELD
from signup.invitations.tokens import InvitationTokens
from signup.problems import BadInvitation, FieldError, InvitationRequired, ValidationFailed
from signup.registration.service import Attempt
from signup.registration.user_store import InvitationUse


class InvitationGuard:
    """The `Guard` that requires an invitation.

    Args:
        tokens: verifies the tokens.
        count_taken: whether a sign-up with a taken address counts as a use, so that the number of remaining
            uses does not reveal whether the address was taken.
    """

    def __init__(self, tokens: InvitationTokens, *, count_taken: bool) -> None:
        self._tokens = tokens
        self._count_taken = count_taken

    async def __call__(self, attempt: Attempt, /) -> None:
        """Verify the invitation, and add its use to the sign-up.

        Raises:
            ValidationFailed: the field is not a string.
            InvitationRequired: there is no invitation.
            BadInvitation: the invitation is not valid, has expired, or is for another address.
        """
        token = attempt.invitation
        if not isinstance(token, str):
            raise ValidationFailed([FieldError(INVITATION_FIELD, "not_a_string")])
        if not token:
            raise InvitationRequired
        invitation = self._tokens.verify(token)
        if not invitation.admits(attempt.request.email):
            raise BadInvitation("invitation_for_another_address")
        use = InvitationUse(
            invitation.id, invitation.uses, invitation.expires_at, invitation.verifies, self._count_taken
        )
        attempt.details = replace(attempt.details, invitation=use)
