"""The stored, shown and returned fields, which are derived from the declarations."""

from signup.fields.models import INPUTS, STORED, SignUpRequest, User


def test_every_field_is_stored_shown_and_returned() -> None:
    """Only the hash of the password is stored, and it is not returned. The token of the bot check is none of these."""
    fields = [*SignUpRequest.model_fields]
    assert [*INPUTS] == [name for name in fields if name != "bot_token"]
    assert [*STORED] == [name for name in fields if name not in ("password", "bot_token")]
    assert [*User.model_fields] == ["id", *STORED, "created_at"]
