"""The interface of data proxies, and the translation of their errors into problems."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Protocol

import httpx
from pydantic import BaseModel, ConfigDict, Field

from signup.http_client import Endpoint
from signup.problems import DatabaseError, Misconfigured, Problem, ProxyBusy, ProxyTimeout, ProxyUnavailable

# One list for each row, in the order of the statement's columns. Values are in Postgres' text format; NULL is None.
Rows = list[list[str | None]]

# A SQLSTATE from a proxy, or "". Other text must not be logged.
Sqlstate = Annotated[str, Field(pattern="^([0-9A-Z]{5})?$")]

# The name of a constraint that may be logged: ASCII letters, digits, _ and $, at most 63 bytes.
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}")
# A word of a value that must not be logged. A constraint name that contains such a word, or `_MIN_SHARED` consecutive
# characters of it, is not logged.
_WORD = re.compile(r"[a-z0-9_$]{4,}")
_MIN_SHARED = 8

# The longest Retry-After, in seconds. Larger values are reduced to it.
LONGEST_RETRY_AFTER = 60


class Wire(BaseModel):
    """The base class of response models. The text of their validation errors does not quote the response.

    Models are defined at module level, so that the Worker's memory snapshot contains them.
    """

    model_config = ConfigDict(hide_input_in_errors=True)


class DataProxy(Protocol):
    """Runs statements on the database."""

    async def execute(self, statement: str, parameters: Sequence[str | None] = ()) -> Rows:
        """Run one statement, with parameters for `$1`, `$2`, …, in its own transaction.

        Raises:
            ProxyBusy: no connection was free, or the proxy limits the rate; the statement was not run.
            ProxyUnavailable, ProxyTimeout: it is unknown whether the statement was run.
            Misconfigured: the proxy or the database refuses the credentials, or the migrations or grants are missing.
            DatabaseError: the database reported another error.
        """
        ...


async def post(endpoint: Endpoint, content: bytes, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """Post to a proxy and return its response, whatever the status.

    Raises:
        ProxyTimeout: there was no complete response in time.
        ProxyUnavailable: the proxy was not reached, the connection was lost, or the response is invalid or too large.
    """
    try:
        return await endpoint.post(content, headers=headers)
    # The error's text is not used, because it may quote the URL and its credentials.
    except httpx.TimeoutException as exc:
        raise ProxyTimeout("no_response", exception=type(exc).__name__) from exc
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise ProxyUnavailable("unreachable", exception=type(exc).__name__) from exc


def refused(response: httpx.Response) -> Problem:
    """Return the problem for an error of the proxy itself, not of the database."""
    status = response.status_code
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return Misconfigured("DATABASE_URL", "is not accepted: the data proxy refuses its credentials")
    if status == httpx.codes.NOT_FOUND:
        return Misconfigured("DATABASE_URL", "points to something that is not a data proxy (status 404)")
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return ProxyBusy("upstream_error", retry_after(response), upstream_status=status)
    if status in (httpx.codes.REQUEST_TIMEOUT, httpx.codes.GATEWAY_TIMEOUT):
        return ProxyTimeout("upstream_timeout", upstream_status=status)
    if status == httpx.codes.INSUFFICIENT_STORAGE:
        # The statement may have been run.
        return ProxyUnavailable("response_too_large", upstream_status=status)
    return ProxyUnavailable("upstream_error", retry_after(response), upstream_status=status)


def retry_after(response: httpx.Response) -> int | None:
    """Return the seconds in Retry-After, from 1 to `LONGEST_RETRY_AFTER`; None if it is missing or not a number."""
    value = response.headers.get("retry-after", "")
    if not value.isascii() or not value.isdigit():
        return None
    # int() refuses more than 4,300 digits.
    return min(max(int(value[:9]), 1), LONGEST_RETRY_AFTER)


def constraint_name(name: str | None, hidden: Iterable[str | None]) -> str:
    """Return a constraint's name, or "" if it must not be logged.

    Args:
        name: the name in the proxy's response.
        hidden: the proxy's credentials and the statement's parameters, which must not be logged.
    """
    if not name or not _IDENTIFIER.fullmatch(name):
        return ""
    folded = name.casefold()
    for value in hidden:
        text = (value or "").casefold()
        if text == folded or any(_shares(folded, word) for word in _WORD.findall(text)):
            return ""
    return name


def _shares(name: str, word: str) -> bool:
    """Return whether a name contains a word, or `_MIN_SHARED` consecutive characters of it."""
    return any(word[start : start + _MIN_SHARED] in name for start in range(max(1, len(word) - _MIN_SHARED + 1)))


def database_error(sqlstate: str, constraint: str = "", setting: str = "DATABASE_URL") -> Problem:
    """Return the problem for a SQLSTATE (PostgreSQL, appendix A).

    Args:
        sqlstate: the SQLSTATE.
        constraint: the violated constraint's name, or "".
        setting: the name of the setting that selects the database.
    """
    if sqlstate == "57014":  # query_canceled: the statement timeout
        return ProxyTimeout("statement_cancelled", sqlstate=sqlstate)
    if sqlstate.startswith("28") or sqlstate == "3D000":  # invalid authorization; invalid_catalog_name
        return Misconfigured(setting, f"has a login or database name that the database refuses (SQLSTATE {sqlstate})")
    if sqlstate in ("42P01", "42703", "42883", "42501"):  # no such table, column or function; no privilege
        return Misconfigured(
            setting, f"points to a database that lacks this version's migrations or grants (SQLSTATE {sqlstate})"
        )
    if sqlstate == "53300":  # too_many_connections
        return ProxyBusy("no_free_connection", sqlstate=sqlstate)
    # Connection exceptions, insufficient resources, operator intervention such as a shutdown, transaction rollback such
    # as a deadlock, and a read-only transaction.
    if sqlstate[:2] in ("08", "53", "57", "40") or sqlstate == "25006":
        return ProxyUnavailable("database_unavailable", sqlstate=sqlstate)
    return DatabaseError(sqlstate, constraint)
