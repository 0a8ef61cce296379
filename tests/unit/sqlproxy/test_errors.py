"""The exception tree and how it reads over HTTP."""

from __future__ import annotations

import re

import pytest

from sqlproxy import errors
from sqlproxy.errors import NEON_FIELDS, DatabaseError, RequestError, SqlProxyError

CLASSES = [getattr(errors, name) for name in errors.__all__]


def build(cls: type[RequestError]) -> RequestError:
    """An instance, whatever its arguments."""
    if cls is DatabaseError:
        return DatabaseError("message", "23505", {"detail": "canary"})
    if cls is errors.MethodNotAllowed:
        return errors.MethodNotAllowed(b"POST")
    if cls is errors.AnswerTooLarge:
        return errors.AnswerTooLarge(10)
    return cls("message")


def test_everything_descends_from_one_root() -> None:
    """And everything is exported."""
    defined = [
        value for value in vars(errors).values() if isinstance(value, type) and value.__module__ == errors.__name__
    ]
    assert set(defined) == set(CLASSES)
    assert all(issubclass(cls, SqlProxyError) for cls in defined)


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if issubclass(cls, RequestError) and cls is not RequestError])
def test_the_tree_in_the_docstring_is_the_tree(cls: type[RequestError]) -> None:
    """Name, status and code of every request error stand there as they are."""
    error = build(cls)
    code = r"Postgres' own" if cls is DatabaseError else error.code
    assert re.search(
        rf"├── {cls.__name__} +{error.status.value}  {code}|└── {cls.__name__} +{error.status.value}  {code}",
        errors.__doc__ or "",
    )


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if issubclass(cls, RequestError)])
def test_every_answer_has_neons_fields_and_executed(cls: type[RequestError]) -> None:
    """A client need not look whether they are there."""
    fields = build(cls).fields()
    assert list(fields) == ["message", "code", *NEON_FIELDS, "executed"]
    assert isinstance(fields["message"], str)
    assert fields["executed"] in (None, True, False)


def test_only_a_refusal_that_changed_nothing_invites_to_try_again() -> None:
    """Retry-After and an unknown outcome exclude each other."""
    for cls in CLASSES:
        if issubclass(cls, RequestError):
            error = build(cls)
            assert b"retry-after" not in dict(error.headers) or error.executed is False


def test_a_database_errors_text_is_its_code() -> None:
    """Its message and its detail may quote values; whoever logs the exception logs neither."""
    error = DatabaseError('invalid input syntax for type integer: "canary"', "22P02", {"detail": "canary"})
    assert str(error) == "SQLSTATE 22P02"
    assert error.fields()["detail"] == "canary"
    assert error.fields()["hint"] is None
