"""The stored, shown and returned fields, which are derived from the declarations."""

from signup.fields.models import INPUTS, STORED, SignUpRequest, User


def test_every_field_is_stored_shown_and_returned() -> None:
    """Exceptions: the password is stored as a hash and not returned, and the bot check's token is only validated."""
    fields = [*SignUpRequest.model_fields]
    assert [*INPUTS] == [name for name in fields if name != "bot_token"]
    assert [*STORED] == [name for name in fields if name not in ("password", "bot_token")]
    assert [*User.model_fields] == ["id", *STORED, "created_at"]
