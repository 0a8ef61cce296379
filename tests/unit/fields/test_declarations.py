"""The stored, shown and returned fields, which are derived from the declarations."""

from signup.fields.models import INPUTS, STORED, SignUpRequest, User


def test_every_field_is_stored_shown_and_returned() -> None:
    """The exceptions are the password, which is not returned, and the token of the bot check, which is not stored."""
    fields = [*SignUpRequest.model_fields]
    assert [*INPUTS] == [name for name in fields if name != "bot_token"]
    assert [*STORED] == [name for name in fields if name not in ("password", "bot_token")]
    assert [*User.model_fields] == ["id", *STORED, "created_at"]
