"""The formats of stored passwords: no hash with a recognisable structure may be classified as clear text."""

from __future__ import annotations

import string
from random import Random

import pytest
from passlib import registry

from devstack.migrate.stored_passwords import HASHABLE, LEAVABLE, Action, Decisions, classify

# Formats without a recognisable structure: a password may look the same.
INDISTINGUISHABLE = {
    "bigcrypt",
    "bsdi_crypt",
    "cisco_asa",
    "cisco_pix",
    "cisco_type7",
    "crypt16",
    "des_crypt",
    "unix_disabled",
}
# Formats that are not hashes, or that libpass computes only with argon2-cffi or bcrypt (hashes of both are below).
EXCLUDED = {"plaintext", "ldap_plaintext", "argon2", "bcrypt", "bcrypt_sha256"}
EXCLUDED |= {"django_argon2", "django_bcrypt", "django_bcrypt_sha256", "ldap_bcrypt"}
FORMATS = sorted(set(registry.list_crypt_handlers()) - INDISTINGUISHABLE - EXCLUDED)

HEX = "0123456789abcdef" * 8
BCRYPT = "$2b$12$" + "abcdefghijklmnopqrstuv" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p"


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_recognisable_hash_of_libpass_is_clear_text(name: str) -> None:
    """A hash of each format is kept, or needs a decision by the operator."""
    handler = registry.get_crypt_handler(name)
    if "rounds" in handler.setting_kwds:
        handler = handler.using(rounds=handler.min_rounds)
    context = {"user": "ada", "realm": "example"}
    hashed = handler.hash("password", **{key: context[key] for key in context if key in handler.context_kwds})
    assert classify(hashed).action is not Action.HASH


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (BCRYPT, "bcrypt"),
        (BCRYPT + "\n", "bcrypt"),
        (BCRYPT.replace("$2b$", "$2a$") + "      ", "bcrypt"),
        ("$argon2i$m=4096,t=3,p=1$" + "a" * 22 + "$" + "b" * 43, "argon2"),
        ("$argon2id$v=19$m=19456,t=2,p=1$" + "a" * 22 + "$" + "b" * 43, "argon2"),
        ("$argon2id$v=19$m=19456,t=2,p=1,keyid=2026a$" + "a" * 22 + "$" + "b" * 43, "argon2"),
        ("$scrypt$ln=14,r=8,p=5$" + "a" * 22 + "$" + "b" * 43, "scrypt"),
        ("$scrypt$ln=14,r=8,p=5,keyid=2026a$" + "a" * 22 + "$" + "b" * 43, "scrypt"),
        ("$6$rounds=5000$saltsalt$" + "a" * 86, "crypt"),
        ("$y$j9T$saltsaltsalt$" + "a" * 43, "crypt"),
        ("pbkdf2_sha256$870000$saltsaltsalt$" + "a" * 43 + "=", "django"),
        ("bcrypt_sha256$" + BCRYPT, "django"),
        ("!" + "a1B2" * 10, "django-unusable"),
        ("scrypt:32768:8:1$saltsalt$" + HEX, "werkzeug"),
        ("pbkdf2:sha256:600000$saltsalt$" + HEX[:64], "werkzeug"),
        ("pbkdf2-sha256$100000$c2FsdHNhbHQ$" + "a" * 43, "named"),
        ("{bcrypt}" + BCRYPT.replace("$2b$", "$2a$"), "scheme"),
        ("{SSHA512}" + "a" * 96, "scheme"),
        ("md5" + HEX[:32], "database"),
        (f"{HEX[:32]}:{HEX}", "salt-and-hash"),
        (f"{HEX}.{HEX[:32]}", "salt-and-hash"),
        (HEX[:64], "sha-hex"),
        (HEX[:64].upper(), "sha-hex"),
        ("AQAAAAEAACcQAAAAE" + "a1B2" * 16 + "aaa", "asp.net"),
        (HEX[:32], "unknown-hex"),
        (HEX[:40], "unknown-hex"),
        # A digest may consist of digits only.
        ("0123456789" * 4, "unknown-hex"),
        ("\\x" + HEX[:64], "unknown-hex"),
        ("$new$thing", "unknown-dollar"),
        ("$2b$12$short", "unknown-dollar"),
        ("{noop}secret", "unknown-braces"),
        ('{"hash": "YWJjZGVmZ2hpamtsbW5v", "salt": "c2FsdA"}', "unknown-braces"),
        ("XohImNooBHFR0OVvjcYpJ3NgPQ1qq73WKhHvch0VQtg=", "unknown-base64"),
        ("XohImNooBHFR0OVvjcYpJ3NgPQ1qq73WKhHvch0VQtg", "unknown-base64"),
        ("saltsalt:XohImNooBHFR0OVvjcYpJ3NgPQ1", "unknown-fields"),
        ("", "empty"),
        (None, "null"),
        (" ", "clear-text"),
        ("$ecret", "clear-text"),
        ("a $2b$ is in mine", "clear-text"),
        ("correct horse battery staple", "clear-text"),
        ("correct-horse-battery-staple-and-more-words", "clear-text"),
        ("md5:is broken", "clear-text"),
        ("12345678901234567890", "clear-text"),
        ("\u043f\u0430\u0440\u043e\u043b\u044c" * 8, "clear-text"),
    ],
)
def test_formats_are_recognised_by_their_structure(value: str | None, name: str) -> None:
    """Hashes of current and old libraries are distinguished from passwords, with or without trailing white space."""
    assert classify(value).name == name


def test_nearly_all_random_passwords_are_clear_text() -> None:
    """Of 10,000 passwords like those of a password manager, fewer than 30 look like hashes."""
    random = Random(17)  # noqa: S311 - no secret
    alphabets = (string.ascii_letters + string.digits, string.ascii_letters + string.digits + string.punctuation)
    passwords = ["".join(random.choices(alphabets[i % 2], k=random.randint(8, 32))) for i in range(10_000)]
    assert sum(classify(password).action is not Action.HASH for password in passwords) < 30


def test_the_operators_decision_applies_to_a_format() -> None:
    """There is no option for missing passwords, or for formats that are certainly hashes, such as bcrypt."""
    shape = classify(HEX[:32])
    assert Decisions().action(shape) is Action.STOP
    assert Decisions(leave=frozenset({shape.name})).action(shape) is Action.LEAVE
    assert Decisions(clear_text=frozenset({shape.name})).action(shape) is Action.HASH
    assert {"bcrypt", "scrypt", "argon2", "null", "empty"}.isdisjoint({*LEAVABLE, *HASHABLE})
