"""The request and response bodies of e-mail verification. Sign-ups import this module only if verification is on."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from signup.fields import email_address as addresses
from signup.fields.models import Created, Email, Text, User


class VerifiableUser(User):
    """A user in a response of a Worker that verifies addresses."""

    email_verified: bool = Field(description="Whether the user has confirmed the address.", examples=[False])


class CreatedVerifiable(Created):
    """The body of the 201 response of a Worker that verifies addresses."""

    user: VerifiableUser


class TokenRequest(BaseModel):
    """The body of `POST /verify` and of `POST /verify/remove`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    token: Text = Field(
        repr=False, description="The token of the link in the e-mail.", examples=["WzEsIjEyIl0.c2lnbmF0dXJl"]
    )


class ResendRequest(BaseModel):
    """The body of `POST /verify/resend`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    email: Email = Field(
        description="The address of the sign-up, in the same syntax.",
        examples=["grace@example.org"],
        json_schema_extra={"format": "idn-email", "maxLength": addresses.LONGEST_ADDRESS},
    )


class Verified(BaseModel):
    """The body of the 200 response to `POST /verify`."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    msg: str = Field(default="E-mail address verified", description="A text for users.")
    result: Literal["verified", "already_verified"] = Field(
        description="`already_verified` if the address was verified before, for example by the same request.",
        examples=["verified"],
    )


class Removed(BaseModel):
    """The body of the 200 response to `POST /verify/remove`."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    msg: str = Field(default="No unverified account remains", description="A text for users.")
    result: Literal["removed", "nothing_to_remove"] = Field(
        description="`nothing_to_remove` if the account was removed or verified before.", examples=["removed"]
    )


class Requested(BaseModel):
    """The body of the 202 response to `POST /verify/resend`, which is the same for every address."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    msg: str = Field(default="Verification requested", description="A text for users.")
