"""Records of users without secrets, and the forms of an address."""

import json

import pytest

from devstack.users.records import REMOVED, clean, is_secret
from devstack.users.table import forms

BCRYPT = "$2b$12$" + "abcdefghijklmnopqrstuv" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p"
HASHES = [
    BCRYPT,
    "$argon2id$v=19$m=19456,t=2,p=1$" + "a" * 22 + "$" + "b" * 43,
    "$scrypt$ln=14,r=8,p=5$" + "a" * 22 + "$" + "b" * 43,
    "pbkdf2_sha256$870000$saltsaltsalt$" + "a" * 43 + "=",
    "{bcrypt}" + BCRYPT,
    "$unknown$" + "a" * 22,
    "0123456789abcdef" * 4,
]


@pytest.mark.parametrize(
    "column",
    [
        *("password", "Password", "passwordHash", "password_digest", "hashed_password", "encryptedPassword", "userPw"),
        *("passwd", "pwd", "PASSWORD", "hash", "salt", "idempotency_key", "apiKey", "reset_token", "resetToken"),
        *("refreshTokens", "twoFactorSecret", "totp", "pin_code", "passwordresettoken", "pwhash"),
    ],
)
def test_secret_columns_are_recognised_by_their_names(column: str) -> None:
    """Names may be in snake case, camel case, capitals or one word."""
    assert is_secret(column)


@pytest.mark.parametrize(
    "column",
    [
        *(
            "id",
            "name",
            "email",
            "created_at",
            "email_verified_at",
            "updatedAt",
            "passport_number",
            "keyboard",
            "bypass",
        ),
        *(
            "monkey",
            "salty_fish",
            "hashtag_list",
            "spinning",
            "compass",
            "",
            "\u5bc6\u7801",
        ),
    ],
)
def test_other_columns_are_kept(column: str) -> None:
    """Some of these names resemble names of secret columns."""
    assert not is_secret(column)


@pytest.mark.parametrize("value", HASHES)
def test_hashes_are_removed_at_any_depth(value: str) -> None:
    """A hash may be a column's value or inside JSON; other values are kept."""
    record = json.dumps({"bio": "a $2b$ is in mine", "credential": value, "accounts": [{"x": value}], "n": 1.5})
    cleaned = clean(record)
    assert value not in cleaned
    removed = json.loads(REMOVED)
    assert json.loads(cleaned) == {
        "bio": "a $2b$ is in mine",
        "credential": removed,
        "accounts": [{"x": removed}],
        "n": 1.5,
    }


def test_a_record_cannot_control_the_terminal() -> None:
    """Control, direction and invisible characters are escaped in JSON; letters and emoji are not."""
    value = {"name": 'Zo\u00eb \U0001f980 "\\"\x1b[2J\x7f\x9b\u202e\u2028\U000e0041'}
    cleaned = clean(json.dumps(value, ensure_ascii=False))
    assert json.loads(cleaned) == value
    assert set("\x1b\x7f\x9b\u202e\u2028\U000e0041").isdisjoint(cleaned)
    assert {"\u00eb", "\U0001f980"} <= set(cleaned)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        (" Ada@Example.COM ", {"ada@example.com", "Ada@Example.COM", " Ada@Example.COM "}),
        ("ada@B\u00dcCHER.example", {"ada@xn--bcher-kva.example", "ada@b\u00fccher.example"}),
        ("ada@xn--bcher-kva.example", {"ada@xn--bcher-kva.example", "ada@b\u00fccher.example"}),
        ("zoe\u0308@example.com", {"zo\u00eb@example.com", "zoe\u0308@example.com"}),
        (
            "\u039f\u03a3@example.com",
            {"\u03bf\u03c2@example.com", "\u03bf\u03c3@example.com", "\u039f\u03a3@example.com"},
        ),
        ("no-address", {"no-address"}),
    ],
)
def test_an_address_is_looked_up_in_all_its_forms(typed: str, stored: set[str]) -> None:
    """The forms include the typed, canonical, Unicode, lower-case and upper-case form. The address may be invalid."""
    assert stored <= forms(typed)
