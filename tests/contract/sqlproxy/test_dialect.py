"""Requests that the tests with Neon's driver do not cover."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.sqlproxy.harness import connections

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    import psycopg

    from tests.contract.sqlproxy.harness import Proxy, StartProxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[httpx.Client]:
    """An HTTP client of the shared proxy."""
    with proxy.client() as http_client:
        yield http_client


def batch(client: httpx.Client, *queries: str | tuple[str, list[object]], **headers: str) -> httpx.Response:
    """Post statements as one transaction."""
    items = [{"query": item} if isinstance(item, str) else {"query": item[0], "params": item[1]} for item in queries]
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/sql", json={"queries": items}, headers=names)


def test_values_are_json_without_the_headers_of_the_driver(proxy: Proxy) -> None:
    """Rows are objects; values that JSON can represent without loss are converted, and all others stay text."""
    query = """SELECT true AS b, 7::int2 AS i, 9007199254740993 AS big, 0.1::float8 AS f, 'NaN'::float4 AS nan,
        1.10::numeric AS num, '{"a": 1.10}'::json AS j, '{1,NULL}'::int[] AS ints, '{a,"b c"}'::text[] AS texts,
        array['{"a": [1]}'::jsonb] AS objects, '{(1,1),(0,0);(3,3),(2,2)}'::box[] AS boxes, NULL AS nothing,
        '2026-01-02'::date AS day"""
    response = proxy.sql(query, neon_raw_text_output="false", neon_array_mode="false").json()
    assert response["rowAsArray"] is False
    assert response["rows"] == [
        {
            "b": True,
            "i": 7,
            "big": "9007199254740993",
            "f": 0.1,
            "nan": "NaN",
            "num": "1.10",
            "j": {"a": 1.1},
            "ints": [1, None],
            "texts": ["a", "b c"],
            "objects": [{"a": [1]}],
            "boxes": ["(1,1),(0,0)", "(3,3),(2,2)"],
            "nothing": None,
            "day": "2026-01-02",
        }
    ]


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 512, 1000])
def test_every_number_of_rows_arrives_with_the_row_count(proxy: Proxy, count: int) -> None:
    """Rows arrive in chunks; the count includes all of them."""
    response = proxy.sql("SELECT generate_series(1, $1::int) AS n", count).json()
    assert [row[0] for row in response["rows"]] == [str(number) for number in range(1, count + 1)]
    assert (response["command"], response["rowCount"], len(response["fields"])) == ("SELECT", count, 1)


def test_an_empty_statement_has_an_empty_result(proxy: Proxy) -> None:
    """Neon returns the same result."""
    response = proxy.sql(" -- nothing\n").json()
    assert (response["fields"], response["rows"], response["command"], response["rowCount"]) == ([], [], "", None)


@pytest.mark.usefixtures("people")
def test_two_statements_in_one_request_are_refused(proxy: Proxy) -> None:
    """The extended protocol allows only one statement, so a second one cannot be injected."""
    response = proxy.sql("INSERT INTO people (email) VALUES ('x'); DROP TABLE people")
    assert (response.status_code, response.json()["code"]) == (400, "42601")
    assert proxy.rows("SELECT count(*) FROM people") == [["0"]]


@pytest.mark.usefixtures("people")
def test_a_failed_deferred_constraint_is_an_error(proxy: Proxy, admin: psycopg.Connection) -> None:
    """Postgres checks the constraint after it has sent the rows; the response is the error."""
    admin.execute("ALTER TABLE people ADD CONSTRAINT later UNIQUE (n) DEFERRABLE INITIALLY DEFERRED")
    insert = "INSERT INTO people (n) VALUES (1) RETURNING id"
    assert proxy.sql(insert).status_code == 200
    response = proxy.sql(insert)
    assert (response.status_code, response.json()["code"], response.json()["executed"]) == (400, "23505", False)
    with proxy.client() as client:
        response = batch(client, insert, "SELECT 1")
    assert (response.status_code, response.json()["code"], response.json()["constraint"]) == (400, "23505", "later")
    assert proxy.rows("SELECT count(*) FROM people") == [["1"]]


@pytest.mark.usefixtures("people")
def test_a_nul_is_refused_and_the_connection_stays_usable(proxy: Proxy) -> None:
    """A NUL in a parameter or a statement causes an error with Postgres' code, and no truncated text is stored."""
    for response in (proxy.sql("INSERT INTO people (email) VALUES ($1)", "a\0b"), proxy.sql("SELECT 1\0")):
        assert (response.status_code, response.json()["code"], response.json()["executed"]) == (400, "22021", False)
    assert proxy.rows("SELECT count(*) FROM people") == [["0"]]


def test_characters_of_every_unicode_plane_are_returned(proxy: Proxy) -> None:
    """The text has a character of each plane, and characters that are special in JSON or SQL."""
    text = "".join(chr(plane * 0x10000 + 0x1234) for plane in range(17)) + "\u2028\u2029\x01\x7f\ufeff\"'\\{}$1;--"
    assert proxy.rows("SELECT $1::text, length($1)", text) == [[text, str(len(text))]]


def test_copy_is_refused(proxy: Proxy) -> None:
    """COPY is refused in both directions, and later requests succeed."""
    for query in ("COPY (SELECT 1) TO STDOUT", "COPY pg_catalog.pg_class FROM STDIN"):
        response = proxy.sql(query)
        assert (response.status_code, response.json()["code"]) == (400, "0A000")
    assert proxy.rows("SELECT 1") == [["1"]]


@pytest.mark.usefixtures("people")
def test_a_result_over_the_limit_gets_507_with_the_outcome(proxy: Proxy) -> None:
    """The transfer stops at the limit; `executed` matches the rows in Postgres."""

    def is_stored() -> bool:
        return proxy.rows("SELECT count(*) FROM people") != [["0"]]

    endless = proxy.sql("SELECT generate_series(1, 100000000)")
    assert (endless.status_code, endless.json()["code"], endless.json()["executed"]) == (507, "54000", False)
    many_rows = proxy.sql("INSERT INTO people (n) SELECT generate_series(1, 20000) RETURNING n, repeat('x', 1000)")
    assert (many_rows.status_code, many_rows.json()["executed"]) == (507, is_stored())
    one_row = proxy.sql("INSERT INTO people (n) VALUES (1) RETURNING repeat('x', 100000)")
    assert (one_row.status_code, one_row.json()["executed"]) == (507, True)
    assert is_stored()


@pytest.mark.usefixtures("people")
def test_a_transaction_over_the_result_limit_is_rolled_back(client: httpx.Client, proxy: Proxy) -> None:
    """Each result is within the limit, but their sum is not."""
    part = "SELECT repeat('x', 60000)"
    response = batch(client, "INSERT INTO people (n) VALUES (1)", part, part)
    assert (response.status_code, response.json()["executed"]) == (507, False)
    assert proxy.rows("SELECT count(*) FROM people") == [["0"]]


def test_a_statement_timeout_is_an_error_of_postgres(proxy: Proxy) -> None:
    """Postgres cancels the statement, so nothing was changed; the next request succeeds."""
    response = proxy.sql("SELECT pg_sleep(30)")
    assert (response.status_code, response.json()["code"], response.json()["executed"]) == (400, "57014", False)
    assert proxy.rows("SELECT 1") == [["1"]]


@pytest.mark.usefixtures("people")
def test_an_open_transaction_does_not_reach_the_next_request(proxy: Proxy, admin: psycopg.Connection) -> None:
    """The rows of each later request are committed at once."""
    assert proxy.sql("BEGIN").json()["command"] == "BEGIN"
    for number in range(1, 9):
        assert proxy.sql("INSERT INTO people (n) VALUES (1)").status_code == 200
        assert admin.execute("SELECT count(*) FROM people").fetchone() == (number,)


def test_only_allowed_statements_run(start_proxy: StartProxy, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With an allow-list, a client with the token may only run the listed statements."""
    path = tmp_path_factory.mktemp("allow") / "statements.json"
    path.write_text('["SELECT $1::int"]')
    proxy = start_proxy("--allow-statements", str(path))
    assert proxy.rows("SELECT $1::int", 5) == [["5"]]
    refused = proxy.sql("SELECT usename FROM pg_user")
    assert (refused.status_code, refused.json()["code"]) == (403, "42501")


def test_requests_without_a_token_never_reach_postgres(start_proxy: StartProxy, admin: psycopg.Connection) -> None:
    """During a rotation both tokens are valid. A request without either is refused before Postgres is used."""
    proxy = start_proxy("--min-connections", "0", TOKEN="first-token-of-two second-token-of-two")
    with proxy.client() as client:
        for token, status in (("none", 401), ("first-token-of-two", 200), ("second-token-of-two", 200)):
            assert client.get("/health").status_code == 200
            headers = {"authorization": f"Bearer {token}"}
            assert client.post("/sql", json={"query": "SELECT 1"}, headers=headers).status_code == status
            if status == 401:
                assert connections(admin, proxy) == 0


def test_a_body_over_the_limit_closes_the_connection(start_proxy: StartProxy) -> None:
    """The limit applies to content-length and to the received bytes. Later requests succeed."""
    proxy = start_proxy("--body-limit", "1000")
    with proxy.client() as client:
        for content in (b"x" * 1001, iter([b"x" * 600, b"x" * 600])):
            response = client.post("/sql", content=content)
            assert (response.status_code, response.json()["code"]) == (413, "54000")
            assert response.headers["connection"] == "close"
    assert proxy.rows("SELECT 1") == [["1"]]


def test_a_large_parameter_arrives_whole(start_proxy: StartProxy) -> None:
    """The parameter is larger than the socket's buffer."""
    proxy = start_proxy("--body-limit", "40000000")
    query = "SELECT length($1), md5($1) = md5(repeat('é', 12000000))"
    assert proxy.rows(query, "é" * 12_000_000) == [["12000000", "t"]]
