"""Neon's SQL over HTTP, the dialect that most such proxies speak: https://neon.tech/docs/serverless/serverless-driver.

`POST …/sql` with `{"query": "… $1", "params": ["…"]}`. 200 is `{"fields": […], "rows": [["text" or null, …], …], …}`.
An error of the database is 400 with `code` (SQLSTATE), `constraint`, and texts that may quote the values, which are
therefore never read. The proxy's own errors have no code: 400 for what it refuses, 413 and 507 for a request or an
answer that is too large, 500 for the rest. Source: neondatabase/neon, proxy/src/serverless/sql_over_http.rs.
"""

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import unquote

import httpx
from pydantic import SecretStr, ValidationError

from signup.database.proxy import Rows, Sqlstate, Wire, constraint_name, database_error, post, refused, retry_after
from signup.http_client import Http
from signup.json_codec import encode
from signup.problems import Misconfigured, Problem, ProxyBusy, ProxyUnavailable

# Text as Postgres writes it, one list a row: nothing is guessed from types on the way.
_FORMAT = {
    "content-type": "application/json",
    "neon-raw-text-output": "true",
    "neon-array-mode": "true",
}


class _Result(Wire, strict=True):
    rows: Rows


class _Error(Wire):
    message: str
    code: Sqlstate | None = None
    constraint: str | None = None


class SqlOverHttp:
    """A `DataProxy` that speaks Neon's dialect.

    Args:
        http: its timeout is the deadline of a whole exchange.
        url: of the endpoint, without credentials.
        credentials: headers that let us in.
    """

    def __init__(self, http: Http, url: str, credentials: Mapping[str, SecretStr]) -> None:
        secrets = {name: value.get_secret_value() for name, value in credentials.items()}
        self._secrets = [form for value in secrets.values() for form in (value, unquote(value))]
        self._endpoint = http.endpoint(url, _FORMAT | secrets)

    async def execute(self, statement: str, parameters: Sequence[str | None] = ()) -> Rows:
        """Run one statement; see `DataProxy.execute`."""
        answer = await post(self._endpoint, encode({"query": statement, "params": parameters}))
        if answer.status_code == httpx.codes.OK:
            try:
                return _Result.model_validate_json(answer.content).rows
            except ValidationError:
                # Without its cause, which would quote the answer.
                raise ProxyUnavailable("the data proxy's answer is not a result") from None
        raise _problem(answer, [*self._secrets, *parameters])


def _problem(answer: httpx.Response, hidden: Iterable[str | None]) -> Problem:
    try:
        error = _Error.model_validate_json(answer.content)
    except ValidationError:
        return refused(answer)
    if error.code == "53300":  # sqlproxy's pool is full (503), or the database is (500 at Neon)
        return ProxyBusy("the data proxy has no connection free", retry_after(answer))
    # 403 with a SQLSTATE is a statement that sqlproxy's allow-list does not have.
    if error.code and answer.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.FORBIDDEN):
        return database_error(error.code, constraint_name(error.constraint, hidden))
    if answer.status_code == httpx.codes.BAD_REQUEST:
        # Neon says so, and not 401, of a wrong password, an unknown endpoint, or one that has been suspended.
        return Misconfigured("DATABASE_URL", "is not accepted: the data proxy refuses its endpoint or credentials")
    return refused(answer)
