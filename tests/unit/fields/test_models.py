"""The fields of a sign-up: each failing field is listed with a pointer and a stable code."""

import unicodedata
from typing import Any

import pytest

from signup.fields.models import Rules, SignUpRequest
from signup.hashing.password_hasher import counted_length
from signup.problems import ValidationFailed
from tests.fakes import ADA


def errors(fields: dict[str, Any], least: int = 15) -> list[tuple[str, str]]:
    """Return the pointer and the code of every error in a body."""
    try:
        SignUpRequest.from_object(fields, Rules(least))
    except ValidationFailed as problem:
        return [(error.pointer, error.code) for error in problem.errors]
    return []


def test_a_valid_body_is_converted_to_canonical_form() -> None:
    """Names are trimmed and in NFC, addresses are canonical, and passwords are in NFC but not trimmed."""
    body = {"name": " Jose\u0301 ", "email": "Jose@Example.com", "password": "  e\u0301 and thirteen more  "}
    request = SignUpRequest.from_object(body, Rules())
    assert (request.name, request.email) == ("Jos\u00e9", "jose@example.com")
    assert request.password.get_secret_value() == "  \u00e9 and thirteen more  "


def test_all_failing_fields_are_listed_at_once() -> None:
    """Three invalid fields give three errors, in the order of the fields."""
    body = {"name": "", "email": "x", "password": "short"}
    assert [pointer for pointer, _ in errors(body)] == ["/name", "/email", "/password"]
    assert errors({}) == [("/name", "required"), ("/email", "required"), ("/password", "required")]


@pytest.mark.parametrize("value", [None, 1, 1.5, True, [], {}, ["Ada"]])
@pytest.mark.parametrize("field", ["name", "email", "password"])
def test_only_strings_are_accepted(field: str, value: object) -> None:
    """Other types are not converted."""
    assert errors({**ADA, field: value}) == [(f"/{field}", "not_a_string")]


def test_unknown_fields_are_refused() -> None:
    """Each error has a JSON Pointer with escapes (RFC 6901)."""
    listed = errors({**ADA, "is_admin": True, "a/b~c": 1, "": 2})
    assert listed == [("/is_admin", "unknown_field"), ("/a~1b~0c", "unknown_field"), ("/", "unknown_field")]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "too_short"),
        (" \u3000\u200b", "too_short"),
        ("x" * 101, "too_long"),
        ("A\u0000da", "control_character"),
        ("A\nda", "control_character"),
        ("A\u0085da", "control_character"),
    ],
)
def test_an_invalid_name_is_refused(name: str, code: str) -> None:
    """A name has 1 to 100 code points after trimming, and no control characters."""
    assert errors({**ADA, "name": name}) == [("/name", code)]


@pytest.mark.parametrize("name", ["x", "x" * 100, " " + "x" * 100 + " ", "e\u0301" * 100, "\U0001f980" * 100])
def test_a_valid_name_is_accepted(name: str) -> None:
    """Length is counted in code points, after NFC and trimming."""
    assert errors({**ADA, "name": name}) == []


# Words in each script, of at least 15 code points in NFC.
SCRIPTS = {
    "Thai": "\u0e17\u0e35\u0e48\u0e19\u0e35\u0e48\u0e21\u0e35\u0e19\u0e49\u0e33\u0e23\u0e49\u0e2d\u0e19",
    "Devanagari": (
        "\u092a\u0922\u093c\u0940\u0902 \u0915\u094d\u0937\u093f\u0924\u093f\u091c \u0938\u092e\u0941\u0902\u0926\u0930"
    ),
    "Vietnamese, decomposed": unicodedata.normalize("NFD", "\u0111\u01b0\u1eddng \u1ea5y d\u00e0i l\u1eafm"),
    "Hebrew with points": (
        "\u05e9\u05c1\u05bc\u05b8\u05dc\u05d5\u05b9\u05dd \u05e2\u05b7\u05dc\u05b5\u05d9\u05db\u05b6\u05dd"
    ),
    "Arabic with harakat": (
        "\u0645\u064f\u062d\u064e\u0645\u0651\u064e\u062f\u064c \u0643\u064e\u062a\u064e\u0628\u064e"
    ),
    "Burmese": "\u1019\u103c\u103d\u103e\u1031\u1038 \u1000\u103b\u1031\u102c\u1004\u103a\u1038 \u101e\u102c\u1038",
    "Tibetan": "\u0f56\u0f66\u0f92\u0fb2\u0f74\u0f56\u0f66\u0f0b\u0f42\u0f44\u0f66\u0f0b\u0f62\u0f72\u0f0b\u0f42\u0f5f",
}


@pytest.mark.parametrize("password", SCRIPTS.values(), ids=SCRIPTS)
def test_combining_marks_that_a_script_needs_are_counted(password: str) -> None:
    """At most two code points of each password do not count toward the minimum length."""
    normal = unicodedata.normalize("NFC", password)
    assert len(normal) >= 15
    assert len(normal) - counted_length(normal) <= 2
    assert errors({**ADA, "password": password}, least=counted_length(normal)) == []


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("x" + "\u0300" * 20, "too_short"),
        ("x" + "".join(chr(0x0300 + number) for number in range(20)), "too_short"),
        ("apple" + "\u0316" * 20, "too_short"),
        ("\u20dd" * 30, "too_short"),
        ("".join(letter + "\u0316\u0317\u0318" for letter in "nest"), "too_common"),
    ],
)
def test_combining_marks_do_not_make_a_short_password_long(password: str, code: str) -> None:
    """At most three marks per character count. Four letters with three marks each are long enough, but too common."""
    assert errors({**ADA, "password": password}) == [("/password", code)]


def test_password_length_is_counted_in_code_points_after_nfc() -> None:
    """The limits are 15 and 128 code points; a setting lowers the minimum."""
    for length, expected in ((14, "too_short"), (15, None), (128, None), (129, "too_long")):
        for first in ("a", "\U0001f900", "e\u0301", "\x00", " "):
            # The password has no repetitions, so that only its length can be wrong.
            password = first + "".join(chr(0x1F900 + (7 * number * number) % 257) for number in range(length - 1))
            assert len(unicodedata.normalize("NFC", password)) == length
            listed = errors({**ADA, "password": password})
            assert listed == ([("/password", expected)] if expected else []), (first, length)
    assert errors({**ADA, "password": "m7 vqzfj"}, least=8) == []
    assert errors({**ADA, "password": "m7 vqzf"}, least=8) == [("/password", "too_short")]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"password": "Ada Ada Ada Ada"}, [("/password", "built_from_name")]),
        ({"password": "ada@example.com"}, [("/password", "built_from_email")]),
        ({"password": "signup-signup-signup"}, [("/password", "built_from_service_name")]),
        ({"password": "passwordpassword"}, [("/password", "too_common")]),
        (
            {"email": "x", "password": "passwordpassword"},
            [("/email", "not_an_email_address"), ("/password", "too_common")],
        ),
        (
            {"name": "", "email": "x", "password": "Ada Lovelace 2024"},
            [("/name", "too_short"), ("/email", "not_an_email_address")],
        ),
    ],
)
def test_a_password_is_compared_with_the_other_fields(change: dict[str, str], expected: list[tuple[str, str]]) -> None:
    """The password is compared with the name, the address and SERVICE_NAME, if these are valid."""
    assert errors({**ADA, **change}) == expected


def test_the_number_of_listed_errors_is_limited() -> None:
    """A body may have thousands of unknown fields; 50 errors are listed, those of known fields first."""
    listed = errors({"name": "", **{f"{number}": 0 for number in range(2700)}})
    assert len(listed) == 50
    assert listed[:4] == [
        ("/name", "too_short"),
        ("/email", "required"),
        ("/password", "required"),
        ("/0", "unknown_field"),
    ]


def test_no_error_contains_a_value() -> None:
    """Neither the attributes, the message nor the context of the exception contains a value from the body."""
    body = {"name": "canary" * 30, "email": "canary", "password": "canary", "extra": "canary"}
    with pytest.raises(ValidationFailed) as caught:
        SignUpRequest.from_object(body, Rules())
    assert "canary" not in repr(vars(caught.value)) + str(caught.value)
    assert caught.value.__suppress_context__
    assert len(caught.value.errors) == 4


@pytest.mark.parametrize(
    ("change", "checked", "expected"),
    [
        ({}, True, [("/cf-turnstile-response", "required")]),
        ({"cf-turnstile-response": ""}, True, [("/cf-turnstile-response", "required")]),
        ({"cf-turnstile-response": "x" * 2049}, True, [("/cf-turnstile-response", "too_long")]),
        ({"cf-turnstile-response": "x", "bot_token": "x"}, True, [("/bot_token", "unknown_field")]),
        ({"cf-turnstile-response": None}, True, [("/cf-turnstile-response", "required")]),
        *(
            ({"cf-turnstile-response": value}, False, [("/cf-turnstile-response", "unknown_field")])
            for value in ("x", "", None, 1, ["x"])
        ),
    ],
)
def test_errors_of_the_turnstile_token_point_to_its_field(
    change: dict[str, Any], *, checked: bool, expected: list[tuple[str, str]]
) -> None:
    """The pointer names the field that the widget sends; `bot_token`, the name of the model's field, is unknown."""
    with pytest.raises(ValidationFailed) as caught:
        SignUpRequest.from_object({**ADA, **change}, Rules(bot_token=checked))
    assert [(error.pointer, error.code) for error in caught.value.errors] == expected
