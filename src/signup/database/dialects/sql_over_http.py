"""Neon's SQL over HTTP, the most common protocol of data proxies: https://neon.tech/docs/serverless/serverless-driver.

The request is `POST …/sql` with `{"query": "… $1", "params": ["…"]}`. The response has the status 200 and `{"fields":
[…], "rows": [["text" or null, …], …], …}`. If the database reports an error, the status is 400, and the body has `code`
(SQLSTATE), `constraint`, and texts that are not used, because they may quote values. Errors of the proxy itself have no
code, or at Xata a word as code. Their status is 400 if the proxy refuses the request, 413 if the request is too large,
507 if the response is too large, and otherwise 500. Source: neondatabase/neon, proxy/src/serverless/sql_over_http.rs.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import unquote

import httpx
from pydantic import SecretStr, ValidationError

from signup.database.proxy import Rows, Wire, constraint_name, database_error, post, refused, retry_after
from signup.http_client import Http
from signup.json_codec import encode
from signup.problems import Misconfigured, Problem, ProxyBusy, ProxyUnavailable

# The media type of the request, and headers that request values in Postgres' text format and rows as lists.
_FORMAT = {
    "content-type": "application/json",
    "neon-raw-text-output": "true",
    "neon-array-mode": "true",
}


_SQLSTATE = re.compile("[0-9A-Z]{5}")


class _Result(Wire, strict=True):
    rows: Rows


class _Error(Wire):
    message: str
    code: str | None = None
    constraint: str | None = None

    @property
    def sqlstate(self) -> str:
        """The code if it is a SQLSTATE, otherwise "". Other text must not be logged."""
        return self.code if self.code and _SQLSTATE.fullmatch(self.code) else ""


class SqlOverHttp:
    """A `DataProxy` for Neon's SQL over HTTP.

    Args:
        http: creates the endpoint; its timeout applies to a whole exchange.
        url: the URL of the endpoint, without credentials.
        credentials: headers with the credentials.
    """

    def __init__(self, http: Http, url: str, credentials: Mapping[str, SecretStr]) -> None:
        secrets = {name: value.get_secret_value() for name, value in credentials.items()}
        self._secrets = [form for value in secrets.values() for form in (value, unquote(value))]
        self._endpoint = http.endpoint(url, _FORMAT | secrets)

    async def execute(self, statement: str, parameters: Sequence[str | None] = ()) -> Rows:
        """Run one statement; see `DataProxy.execute`."""
        response = await post(self._endpoint, encode({"query": statement, "params": parameters}))
        if response.status_code == httpx.codes.OK:
            try:
                return _Result.model_validate_json(response.content).rows
            except ValidationError:
                # The cause is not chained, because it contains the response.
                raise ProxyUnavailable("invalid_response") from None
        raise _problem(response, [*self._secrets, *parameters])


def _problem(response: httpx.Response, hidden: Iterable[str | None]) -> Problem:
    try:
        error = _Error.model_validate_json(response.content)
    except ValidationError:
        return refused(response)
    if error.sqlstate == "53300":  # No free connection: in sqlproxy's pool (503), or in the database (500 at Neon).
        return ProxyBusy("no_free_connection", retry_after(response))
    # 403 with a SQLSTATE: the statement is not on sqlproxy's allow-list.
    if error.sqlstate and response.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.FORBIDDEN):
        return database_error(error.sqlstate, constraint_name(error.constraint, hidden))
    if response.status_code == httpx.codes.BAD_REQUEST:
        # Neon and Xata respond with 400, not 401, to an unknown endpoint, and Neon also to a wrong password.
        return Misconfigured("DATABASE_URL", "is not accepted: the data proxy refuses its endpoint or credentials")
    return refused(response)
