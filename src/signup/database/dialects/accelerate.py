"""Prisma Accelerate's protocol: `prisma://host/?api_key=KEY`, `prisma+postgres://host[:port]/?api_key=KEY`.

It is used by `prisma dev`, self-hosted query plan executors and, until 2026-12-01, the hosted service.
`POST /query` runs a plan, which Prisma's client compiles. This module sends the plan of one raw statement:

    {"operation": "queryRaw", "params": {}, "plan": {"type": "query", "args": {"type": "rawSql", "sql": "… $1",
        "args": ["…"], "argTypes": [{"scalarType": "string", "arity": "scalar"}]}}}

The response has the status 200 and `{"data": {"columns": […], "types": ["int", …], "rows": [[1, …], …]}}`. If the
database reports an error, the status is 400, `code` is P2010 and the SQLSTATE is inside `meta`; Prisma's error
reference lists other codes. Error texts may quote values and are not read. Source: npm's @prisma/query-plan-executor
7.10.0 (server.ts, user-facing-error.ts), @prisma/client 7.10.0.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated
from urllib.parse import SplitResult

import httpx
from pydantic import Field, SecretStr, ValidationError

from signup.database.dialects.connection_string import SETTING, parameters
from signup.database.proxy import Rows, Sqlstate, Wire, constraint_name, database_error, post, refused
from signup.http_client import Http
from signup.json_codec import encode
from signup.problems import Misconfigured, Problem, ProxyBusy, ProxyTimeout, ProxyUnavailable
from signup.urls import is_loopback

HOSTED = "accelerate.prisma-data.net"
RETIRED = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
RETIREMENT = (
    "is a URL of Prisma's hosted Accelerate (retired on 2026-12-01). Use Prisma Postgres' direct URL "
    "(postgres://ID:KEY@db.prisma.io:5432/postgres), or a sqlproxy in front of your database (sql+https://)"
)

# Values of the header `prisma-engine-hash`. `prisma dev` accepts 0.0.0 or the version of its own executor. Other
# servers may also check the header, and get the version of the Prisma client with which this module was tested.
_ANY_ENGINE = "0.0.0"
_ENGINE = "7.10.0"

# The types that Prisma's client declares for parameters of a raw statement.
_STRING = {"scalarType": "string", "arity": "scalar"}
_NULL = {"scalarType": "unknown", "arity": "scalar"}

# The executor's column types whose values can be converted back to Postgres' text format. A statement must cast columns
# of other types (times, floats, JSON, bytes, arrays) to text.
_EXACT = {"int", "bigint", "decimal", "bool", "string", "enum", "uuid"}

# Errors of the executor without a SQLSTATE: the `kind` of the driver's error, or Prisma's code (P5011, and P6000
# and above, are codes of the hosted service). All others mean that the proxy is unavailable.
_REFUSED = {
    *("AuthenticationFailed", "DatabaseAccessDenied", "DatabaseDoesNotExist", "P1000", "P1003", "P1010"),
    *("P6002", "P6003", "P6010"),  # bad key; plan's limit reached; project disabled
}
_BUSY = {"TooManyConnections", "P2024", "P2037", "P5011"}
_SLOW = {"SocketTimeout", "P1008", "P6004"}


class _Data(Wire, strict=True):
    types: list[str]
    rows: list[list[bool | int | str | None]]


class _Result(Wire):
    data: _Data


class _Constraint(Wire):
    index: str = ""


class _Cause(Wire):
    kind: str
    sqlstate: Sqlstate = Field(default="", alias="originalCode")
    constraint: _Constraint | None = None


class _AdapterError(Wire):
    cause: _Cause


class _Meta(Wire):
    error: _AdapterError | None = Field(default=None, alias="driverAdapterError")


class _Error(Wire):
    code: Annotated[str, Field(pattern=r"^P[0-9]{4}$")]
    meta: _Meta | None = None


class Accelerate:
    """A `DataProxy` for Accelerate's protocol.

    Args:
        http: creates the endpoint; its timeout applies to a whole exchange.
        url: the URL of the endpoint, without credentials.
        key: the API key.
        engine: the version of Prisma's engine to request.
    """

    def __init__(self, http: Http, url: str, key: SecretStr, engine: str) -> None:
        headers = {
            "accept": "application/json",
            "authorization": f"Bearer {key.get_secret_value()}",
            "content-type": "application/json",
            "prisma-engine-hash": engine,
        }
        self._endpoint = http.endpoint(url, headers)
        self._key = key

    async def execute(self, statement: str, parameters: Sequence[str | None] = ()) -> Rows:
        """Run one statement; see `DataProxy.execute`.

        Raises:
            ProxyUnavailable: see `DataProxy.execute`; also if a column's type cannot be converted to text. In the
                latter case the statement was run.
        """
        types = [_NULL if value is None else _STRING for value in parameters]
        query = {"type": "rawSql", "sql": statement, "args": parameters, "argTypes": types}
        body = {"operation": "queryRaw", "plan": {"type": "query", "args": query}, "params": {}}
        response = await post(self._endpoint, encode(body))
        if response.status_code == httpx.codes.OK:
            return _rows(response)
        raise _problem(response, [self._key.get_secret_value(), *parameters])


def parse(url: SplitResult) -> Callable[[Http], Accelerate]:
    """Check an Accelerate URL and return a factory of its proxy, which uses plain HTTP on loopback.

    Raises:
        Misconfigured: the URL does not have exactly one API key, or has a user or another parameter.
    """
    key = parameters(url).get("api_key", "")
    if not key or not key.isascii() or not key.isprintable():
        raise Misconfigured(SETTING, "needs one API key: prisma+postgres://host/?api_key=KEY")
    if "@" in url.netloc or len(parameters(url)) > 1:
        raise Misconfigured(SETTING, "has more than an API key: remove the rest, prisma+postgres://host/?api_key=KEY")
    local = is_loopback(str(url.hostname))
    endpoint = f"{'http' if local else 'https'}://{url.netloc}{url.path.rstrip('/')}/query"
    engine = _ANY_ENGINE if local else _ENGINE
    return partial(Accelerate, url=endpoint, key=SecretStr(key), engine=engine)


def _rows(response: httpx.Response) -> Rows:
    try:
        data = _Result.model_validate_json(response.content).data
    except ValidationError:
        # The cause is not chained, because it contains the response.
        raise ProxyUnavailable("invalid_response") from None
    if not _EXACT.issuperset(data.types) or any(len(row) != len(data.types) for row in data.rows):
        raise ProxyUnavailable("unsupported_type")
    return [[_text(value) for value in row] for row in data.rows]


def _text(value: bool | int | str | None) -> str | None:
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value) if isinstance(value, int) else value


def _problem(response: httpx.Response, hidden: Iterable[str | None]) -> Problem:
    if response.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
        # The executor stopped waiting without cancelling the statement.
        return ProxyTimeout("statement_timeout", upstream_status=response.status_code)
    try:
        error = _Error.model_validate_json(response.content)
    except ValidationError:
        return refused(response)
    cause = error.meta.error.cause if error.meta and error.meta.error else None
    if cause and cause.sqlstate:
        return database_error(
            cause.sqlstate, constraint_name(cause.constraint.index if cause.constraint else "", hidden)
        )
    return _without_sqlstate(error.code, cause.kind if cause else "")


def _without_sqlstate(code: str, kind: str) -> Problem:
    names = {code, kind}
    if names & _REFUSED:
        return Misconfigured("DATABASE_URL", f"is not accepted by the data proxy or the database ({code})")
    if names & _BUSY:
        return ProxyBusy("no_free_connection", upstream_code=code)
    if names & _SLOW:
        return ProxyTimeout("upstream_timeout", upstream_code=code)
    return ProxyUnavailable("upstream_error", upstream_code=code)
