"""A constraint's name is logged only if it is an identifier that quotes no credential or parameter."""

import httpx
import pytest
import respx
from pydantic import SecretStr

from signup.database.dialects.choose import choose
from signup.problems import DatabaseError
from tests.fakes import Warnings, stock_http

pytestmark = pytest.mark.anyio

KEY = "canary_4f1c9b27d8"
URLS = {
    "sqlproxy": f"sql+https://{KEY}@proxy.example.com/",
    "neon": "postgres://owner:c%61nary_4f1c9b27d8@ep-x.eu-central-1.aws.neon.tech/db?sslmode=require",
    "prisma": f"postgres://id:{KEY}@db.prisma.io:5432/postgres",
    "accelerate": f"prisma+postgres://executor.example.com/?api_key={KEY}",
}
PARAMETERS = ("Ada_Lovelace", "canary@example.com", "Bob", None, "")


async def database_error(url: str, constraint: object) -> DatabaseError:
    """Return the error for a violation of a constraint with this name, in the dialect of the URL."""
    fields = {"message": "m", "code": "23505", "constraint": constraint}
    cause = {"kind": "UniqueConstraintViolation", "originalCode": "23505", "constraint": {"index": constraint}}
    executor: dict[str, object] = {"code": "P2010", "meta": {"driverAdapterError": {"cause": cause}}}
    response: dict[str, object] = executor if url.startswith("prisma") else fields
    status = 400
    if "db.prisma.io" in url:
        response, status = {"error": fields}, 200
    with respx.mock:
        respx.post().mock(return_value=httpx.Response(status, json=response))
        async with stock_http() as http:
            with pytest.raises(DatabaseError) as caught:
                await choose(SecretStr(url), http, Warnings()).execute("SELECT 1", PARAMETERS)
    return caught.value


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
@pytest.mark.parametrize("name", ["User_email_key", "_c$1", "c", "C" * 63])
async def test_an_identifier_is_logged(url: str, name: str) -> None:
    """A valid Postgres identifier is kept."""
    assert (await database_error(url, name)).constraint == name


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
@pytest.mark.parametrize(
    "name",
    [
        *("", "two words", "c" * 64, "1c", "c\n", "c\u00e9", "canary@example.com", "c;", '"c"', "\x1b[31m"),
        # The credential: as a whole, in upper case, in part, and within another name.
        *(KEY, KEY.upper(), KEY[:12], f"User_{KEY}_key", f"x_{KEY[6:15]}"),
        # Names that contain a parameter of the statement, or a word of one.
        *("Ada_Lovelace", "ada_lovelace_key", "Bob", "canary"),
    ],
)
async def test_invalid_identifiers_and_quoted_values_are_not_logged(url: str, name: str) -> None:
    """The SQLSTATE is kept, and the name is omitted."""
    problem = await database_error(url, name)
    assert (problem.sqlstate, problem.constraint) == ("23505", "")
