"""Prisma Postgres over its serverless HTTP: `postgres://ID:KEY@db.prisma.io:5432/postgres?sslmode=require`.

`POST /v0/statement?db=…` has a multipart body: a descriptor `{"query": "… $1", "parameters": [{"type": "text",
"value": "…"}]}`, and one part for each long parameter, whose length is in the descriptor. The response has one
JSON object per line: `{"columns": […]}`, `{"values": ["text" or null, …]}` for each row, and `{"complete": true}`. If
the database reports an error, a response with status 200 has a line `{"error": {"code": SQLSTATE, …}}`, possibly after
rows; its texts may quote values and are not used. Source: the reference client, npm's @prisma/ppg 1.0.1
(src/transport/*.ts).
"""

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from urllib.parse import SplitResult, quote, unquote
from uuid import uuid4

import httpx
from pydantic import SecretStr, ValidationError

from signup.database.dialects.connection_string import SETTING, check_parameters
from signup.database.proxy import Rows, Sqlstate, Wire, constraint_name, database_error, post, refused
from signup.http_client import Http
from signup.json_codec import encode
from signup.problems import Misconfigured, ProxyUnavailable

# A database has a direct and a pooled connection string (https://www.prisma.io/docs, "Connecting to your database").
# HTTP requests go to the direct host, which uses a pool for them.
DOMAIN = "db.prisma.io"
POOLED = "pooled.db.prisma.io"

# The longest parameter in the descriptor, in bytes of UTF-8. Longer parameters are sent in separate parts.
LONGEST_INLINE = 1024

_QUERY = "urn:prisma:query"
_DESCRIPTOR = "urn:prisma:query:descriptor"
_PARAMETER = "urn:prisma:query:param:text"


class _Error(Wire):
    message: str
    code: Sqlstate | None = None
    constraint: str | None = None


class _Frame(Wire, strict=True):
    """One line of a response, without `columns`, which is not needed."""

    values: list[str | None] | None = None
    complete: bool = False
    error: _Error | None = None


class PrismaPostgres:
    """A `DataProxy` for Prisma Postgres' serverless HTTP.

    Args:
        http: creates the endpoint; its timeout applies to a whole exchange.
        url: the URL of the endpoint, without credentials.
        user, key: the credentials.
    """

    def __init__(self, http: Http, url: str, user: SecretStr, key: SecretStr) -> None:
        self._secrets = (user.get_secret_value(), key.get_secret_value())
        basic = b64encode(":".join(self._secrets).encode()).decode()
        self._endpoint = http.endpoint(url, {"authorization": f"Basic {basic}"})

    async def execute(self, statement: str, parameters: Sequence[str | None] = ()) -> Rows:
        """Run one statement; see `DataProxy.execute`."""
        boundary = f"----signup{uuid4().hex}"
        headers = {"content-type": f'multipart/form-data; profile="{_QUERY}"; boundary={boundary}'}
        response = await post(self._endpoint, _body(statement, parameters, boundary.encode()), headers)
        if response.status_code == httpx.codes.OK:
            return _rows(response.content, [*self._secrets, *parameters])
        raise refused(response)


def parse(url: SplitResult) -> Callable[[Http], PrismaPostgres]:
    """Check a Prisma Postgres connection string, direct or pooled, and return a factory of its proxy.

    The port is for the Postgres protocol and is ignored.

    Raises:
        Misconfigured: id or key is missing, the host is neither `DOMAIN` nor `POOLED`, or a parameter is refused.
    """
    host = str(url.hostname).removesuffix(".")
    if not url.username or not url.password or host not in (DOMAIN, POOLED):
        raise Misconfigured(SETTING, f"needs an id, a key and Prisma's host: postgres://ID:KEY@{DOMAIN}:5432/")
    check_parameters(url)
    database = unquote(url.path.removeprefix("/"))
    endpoint = f"https://{DOMAIN}/v0/statement" + (f"?db={quote(database, safe='')}" if database else "")
    user, key = SecretStr(unquote(url.username)), SecretStr(unquote(url.password))
    return partial(PrismaPostgres, url=endpoint, user=user, key=key)


def _body(statement: str, parameters: Sequence[str | None], boundary: bytes) -> bytes:
    descriptors: list[dict[str, object]] = []
    long_values: list[bytes] = []
    for value in parameters:
        encoded = b"" if value is None else value.encode()
        if len(encoded) > LONGEST_INLINE:
            descriptors.append({"type": "text", "byteSize": len(encoded)})
            long_values.append(encoded)
        else:
            descriptors.append({"type": "text", "value": value})
    descriptor: dict[str, object] = {"query": statement}
    if descriptors:
        descriptor["parameters"] = descriptors
    parts = [_part(_DESCRIPTOR, "application/json", encode(descriptor))]
    parts += [_part(_PARAMETER, "text/plain; charset=utf-8", value) for value in long_values]
    return b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts) + b"--%b--\r\n" % boundary


def _part(name: str, media_type: str, content: bytes) -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"\r\nContent-Type: {media_type}; profile="{name}"\r\n\r\n'
    return head.encode() + content


def _rows(content: bytes, hidden: Iterable[str | None]) -> Rows:
    rows: Rows = []
    for line in content.split(b"\n"):
        if not line.strip():
            continue
        try:
            frame = _Frame.model_validate_json(line)
        except ValidationError:
            # The cause is not chained, because it contains the response.
            raise ProxyUnavailable("invalid_response") from None
        if frame.error:
            if not frame.error.code:
                raise ProxyUnavailable("upstream_error")
            raise database_error(frame.error.code, constraint_name(frame.error.constraint, hidden))
        if frame.complete:
            return rows
        if frame.values is not None:
            rows.append(frame.values)
    raise ProxyUnavailable("incomplete_response")
