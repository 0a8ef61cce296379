"""The exception hierarchy and its HTTP representation."""

from __future__ import annotations

import re

import pytest

from sqlproxy import errors
from sqlproxy.errors import NEON_FIELDS, DatabaseError, RequestError, SqlProxyError

CLASSES = [getattr(errors, name) for name in errors.__all__]


def build(cls: type[RequestError]) -> RequestError:
    """Return an instance of an exception class."""
    if cls is DatabaseError:
        return DatabaseError("message", "23505", {"detail": "canary"})
    if cls is errors.MethodNotAllowed:
        return errors.MethodNotAllowed(b"POST")
    if cls is errors.AnswerTooLarge:
        return errors.AnswerTooLarge(10)
    return cls("message")


def test_all_exceptions_share_one_base_class() -> None:
    """The module exports all exceptions."""
    defined = [
        value for value in vars(errors).values() if isinstance(value, type) and value.__module__ == errors.__name__
    ]
    assert set(defined) == set(CLASSES)
    assert all(issubclass(cls, SqlProxyError) for cls in defined)


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if issubclass(cls, RequestError) and cls is not RequestError])
def test_the_docstring_lists_every_request_error(cls: type[RequestError]) -> None:
    """The list has the name, the status and the code of each error."""
    error = build(cls)
    code = r"Postgres' own" if cls is DatabaseError else error.code
    assert re.search(
        rf"├── {cls.__name__} +{error.status.value}  {code}|└── {cls.__name__} +{error.status.value}  {code}",
        errors.__doc__ or "",
    )


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if issubclass(cls, RequestError)])
def test_every_error_has_neons_fields_and_executed(cls: type[RequestError]) -> None:
    """Clients can rely on these members."""
    fields = build(cls).fields()
    assert list(fields) == ["message", "code", *NEON_FIELDS, "executed"]
    assert isinstance(fields["message"], str)
    assert fields["executed"] in (None, True, False)


def test_only_an_unexecuted_request_has_retry_after() -> None:
    """An error of an executed statement, or with an unknown outcome, must not suggest a retry."""
    for cls in CLASSES:
        if issubclass(cls, RequestError):
            error = build(cls)
            assert b"retry-after" not in dict(error.headers) or error.executed is False


def test_the_text_of_a_database_error_is_its_sqlstate() -> None:
    """Message and detail may quote values, so a logged exception contains neither."""
    error = DatabaseError('invalid input syntax for type integer: "canary"', "22P02", {"detail": "canary"})
    assert str(error) == "SQLSTATE 22P02"
    assert error.fields()["detail"] == "canary"
    assert error.fields()["hint"] is None
