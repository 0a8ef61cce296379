"""Parsing of Postgres URLs into libpq parameters; no message quotes a URL."""

from __future__ import annotations

import traceback

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devstack.postgres import dburl
from tests.counts import examples

SECRET = "hunter2-canary"


def test_a_plain_url_is_split_into_parameters() -> None:
    """The parts are percent-decoded, and the default schema is public."""
    target = dburl.parse("postgresql://ada:p%40ss@db.example:6543/app")
    assert target.parameters == {
        "user": "ada",
        "password": "p@ss",
        "host": "db.example",
        "port": "6543",
        "dbname": "app",
    }
    assert target.schema == "public"


def test_prismas_parameters_are_not_passed_to_libpq() -> None:
    """Prisma's parameters are used (schema) or dropped; parameters that libpq knows are kept."""
    target = dburl.parse(
        "postgres://ada@db/app?schema=Shop&connection_limit=1&pool_timeout=2&pgbouncer=false&sslmode=require"
        "&connect_timeout=3&sslaccept=accept_invalid_certs"
    )
    assert target.schema == "Shop"
    assert target.parameters == {
        "user": "ada",
        "host": "db",
        "dbname": "app",
        "sslmode": "require",
        "connect_timeout": "3",
    }


def test_strict_certificate_checks_are_kept() -> None:
    """Prisma's sslaccept=strict becomes libpq's verify-full."""
    target = dburl.parse("postgres://ada@db/app?sslmode=require&sslaccept=strict")
    assert target.parameters["sslmode"] == "verify-full"


@pytest.mark.parametrize(
    "query",
    [
        "options=-c%20statement_timeout%3D5000",
        "options=-c%20a%3Db%20-c%20c%3Dd&schema=public",
        "application_name=a+b",
        "application_name=%2B%25&",
        "ssl=true",
    ],
)
def test_parameters_are_read_as_libpq_reads_them(query: str) -> None:
    """Percent escapes are decoded once, and a plus sign is literal."""
    libpq = psycopg.conninfo.conninfo_to_dict("postgres://ada@db/app?" + query.removesuffix("&schema=public"))
    assert dburl.parse(f"postgres://ada@db/app?{query}").parameters == libpq


def test_a_question_mark_in_a_password_does_not_begin_the_query() -> None:
    """As in libpq, the query begins after the host."""
    target = dburl.parse("postgres://ada:what?schema=x@db/app?schema=y")
    assert target.parameters["password"] == "what?schema=x"
    assert target.schema == "y"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "is empty or not set: it needs a postgres:// URL"),
        (f"sql+https://{SECRET}@proxy.example/", "needs a postgres:// URL"),
        (f"prisma+postgres://accelerate.example/?api_key={SECRET}", "needs a postgres:// URL"),
        (f"postgres://ada:p@{SECRET}@db/app", r"percent-encode .* %40"),
        (f"postgres://ada:p/{SECRET}@db/app", "percent-encode"),
        (f"postgres://ada:p@s?{SECRET}@db/app", "percent-encode"),
        (f"postgres://ada:p?s/{SECRET}@db/app", "percent-encode"),
        (f"postgres://ada:{SECRET}", "a port that is not a number"),
        (f"postgres://ada:{SECRET}/app", "a port that is not a number"),
        (f"postgres://ada:{SECRET}@db/app?sslmode", "a parameter without a value"),
        (f"postgres://ada:{SECRET}@db/app?frobnicate={SECRET}", "unknown parameters: frobnicate"),
        (f"postgres://ada:{SECRET}%zz@db/app", "write it as %25"),
        (f"postgres://ada:{SECRET}@[::1/app", "not a Postgres connection string"),
        (f"postgres://ada:{SECRET}@db/app?pgbouncer=true", "connection pooler"),
        (f"postgres://ada:{SECRET}@ep-cool-darkness-pooler.example.neon.tech/app", "connection pooler"),
    ],
)
def test_an_unusable_url_is_rejected_without_quoting_it(url: str, reason: str) -> None:
    """The message gives the reason; neither it nor the traceback contains the password."""
    with pytest.raises(dburl.UrlError, match=reason) as caught:
        dburl.parse(url)
    assert SECRET not in "".join(traceback.format_exception(caught.value, chain=True))


def test_passwords_are_redacted() -> None:
    """Neither the repr of a target nor a redacted message contains a password."""
    target = dburl.parse(f"postgres://ada:{SECRET}@db/app?sslpassword=other-{SECRET}")
    assert SECRET not in repr(target)
    assert target.redact(f"no: {SECRET}, other-{SECRET}").count("***") == 2
    assert SECRET not in target.redact(f"no: {SECRET}, other-{SECRET}")


@examples(40)
@given(st.text(st.characters(), max_size=60))
@example("u:p%00@h/x")
@example("u:p@\udcff/x")
@example("u:p@h/x?schema=%ff&sslmode=\ud800")
def test_any_text_is_parsed_or_raises_url_error(text: str) -> None:
    """No other exception is raised."""
    try:
        dburl.parse(f"postgres://{text}")
    except dburl.UrlError as exc:
        assert "\0" not in str(exc)  # noqa: PT017 - some texts are valid URLs


@pytest.mark.parametrize(
    ("secret", "expected"),
    [("a", 'role "***" is *** role'), ("role", '*** "a" is a ***'), ("ol", 'role "a" is a role')],
)
def test_short_secrets_do_not_garble_a_message(secret: str, expected: str) -> None:
    """A secret of fewer than four characters is only redacted where it is a whole word."""
    assert dburl.Target({}, "public", (secret,)).redact('role "a" is a role') == expected
