"""The dialect over plain HTTP, where Neon's driver does not go."""

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
    """A client of the shared proxy."""
    with proxy.client() as made:
        yield made


def batch(client: httpx.Client, *queries: str | tuple[str, list[object]], **headers: str) -> httpx.Response:
    """Posts a transaction."""
    items = [{"query": item} if isinstance(item, str) else {"query": item[0], "params": item[1]} for item in queries]
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/sql", json={"queries": items}, headers=names)


def test_without_the_two_headers_values_are_jsons_own(proxy: Proxy) -> None:
    """Rows are objects; what JSON can hold without loss is converted, the rest stays text."""
    query = """SELECT true AS b, 7::int2 AS i, 9007199254740993 AS big, 0.1::float8 AS f, 'NaN'::float4 AS nan,
        1.10::numeric AS num, '{"a": 1.10}'::json AS j, '{1,NULL}'::int[] AS ints, '{a,"b c"}'::text[] AS texts,
        array['{"a": [1]}'::jsonb] AS objects, '{(1,1),(0,0);(3,3),(2,2)}'::box[] AS boxes, NULL AS nothing,
        '2026-01-02'::date AS day"""
    answer = proxy.sql(query, neon_raw_text_output="false", neon_array_mode="false").json()
    assert answer["rowAsArray"] is False
    assert answer["rows"] == [
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
def test_every_number_of_rows_arrives_with_its_command(proxy: Proxy, count: int) -> None:
    """Rows come in chunks; the count is that of all of them."""
    answer = proxy.sql("SELECT generate_series(1, $1::int) AS n", count).json()
    assert [row[0] for row in answer["rows"]] == [str(number) for number in range(1, count + 1)]
    assert (answer["command"], answer["rowCount"], len(answer["fields"])) == ("SELECT", count, 1)


def test_an_empty_statement_is_an_empty_answer(proxy: Proxy) -> None:
    """As with Neon."""
    answer = proxy.sql(" -- nothing\n").json()
    assert (answer["fields"], answer["rows"], answer["command"], answer["rowCount"]) == ([], [], "", None)


@pytest.mark.usefixtures("people")
def test_two_statements_in_one_are_refused(proxy: Proxy) -> None:
    """The extended protocol takes one: nothing can be appended to a statement."""
    answer = proxy.sql("INSERT INTO people (email) VALUES ('x'); DROP TABLE people")
    assert (answer.status_code, answer.json()["code"]) == (400, "42601")
    assert proxy.rows("SELECT count(*) FROM people") == [["0"]]


@pytest.mark.usefixtures("people")
def test_a_deferred_constraint_is_an_error_and_not_a_success(proxy: Proxy, admin: psycopg.Connection) -> None:
    """Postgres checks it when the rows are already sent; the answer is the error that comes after them."""
    admin.execute("ALTER TABLE people ADD CONSTRAINT later UNIQUE (n) DEFERRABLE INITIALLY DEFERRED")
    insert = "INSERT INTO people (n) VALUES (1) RETURNING id"
    assert proxy.sql(insert).status_code == 200
    answer = proxy.sql(insert)
    assert (answer.status_code, answer.json()["code"], answer.json()["executed"]) == (400, "23505", False)
    with proxy.client() as client:
        answer = batch(client, insert, "SELECT 1")
    assert (answer.status_code, answer.json()["code"], answer.json()["constraint"]) == (400, "23505", "later")
    assert proxy.rows("SELECT count(*) FROM people") == [["1"]]


@pytest.mark.usefixtures("people")
def test_a_refused_text_leaves_the_connection_usable(proxy: Proxy) -> None:
    """NUL, in a parameter or a statement: Postgres' own code, and nothing is stored short."""
    for answer in (proxy.sql("INSERT INTO people (email) VALUES ($1)", "a\0b"), proxy.sql("SELECT 1\0")):
        assert (answer.status_code, answer.json()["code"], answer.json()["executed"]) == (400, "22021", False)
    assert proxy.rows("SELECT count(*) FROM people") == [["0"]]


def test_every_unicode_plane_comes_back(proxy: Proxy) -> None:
    """One character of each, and those that JSON or SQL treat as special."""
    text = "".join(chr(plane * 0x10000 + 0x1234) for plane in range(17)) + "\u2028\u2029\x01\x7f\ufeff\"'\\{}$1;--"
    assert proxy.rows("SELECT $1::text, length($1)", text) == [[text, str(len(text))]]


def test_copy_is_refused(proxy: Proxy) -> None:
    """In both directions; its connection is replaced."""
    for query in ("COPY (SELECT 1) TO STDOUT", "COPY pg_catalog.pg_class FROM STDIN"):
        answer = proxy.sql(query)
        assert (answer.status_code, answer.json()["code"]) == (400, "0A000")
    assert proxy.rows("SELECT 1") == [["1"]]


@pytest.mark.usefixtures("people")
def test_an_answer_over_the_limit_is_507_and_says_what_became_of_the_statement(proxy: Proxy) -> None:
    """Stopped while it grows; ``executed`` tells the truth about what Postgres has kept."""

    def stored() -> bool:
        return proxy.rows("SELECT count(*) FROM people") != [["0"]]

    endless = proxy.sql("SELECT generate_series(1, 100000000)")
    assert (endless.status_code, endless.json()["code"], endless.json()["executed"]) == (507, "54000", False)
    many = proxy.sql("INSERT INTO people (n) SELECT generate_series(1, 20000) RETURNING n, repeat('x', 1000)")
    assert (many.status_code, many.json()["executed"]) == (507, stored())
    one = proxy.sql("INSERT INTO people (n) VALUES (1) RETURNING repeat('x', 100000)")
    assert (one.status_code, one.json()["executed"]) == (507, True)
    assert stored()


@pytest.mark.usefixtures("people")
def test_a_transaction_shares_the_answer_limit_and_is_rolled_back_over_it(client: httpx.Client, proxy: Proxy) -> None:
    """Each statement is within it; together they are not."""
    part = "SELECT repeat('x', 60000)"
    answer = batch(client, "INSERT INTO people (n) VALUES (1)", part, part)
    assert (answer.status_code, answer.json()["executed"]) == (507, False)
    assert proxy.rows("SELECT count(*) FROM people") == [["0"]]


def test_a_statement_timeout_is_postgres_own_error(proxy: Proxy) -> None:
    """Postgres cancels it, so it is surely not executed; the connection stays usable."""
    answer = proxy.sql("SELECT pg_sleep(30)")
    assert (answer.status_code, answer.json()["code"], answer.json()["executed"]) == (400, "57014", False)
    assert proxy.rows("SELECT 1") == [["1"]]


@pytest.mark.usefixtures("people")
def test_a_transaction_left_open_is_not_passed_on(proxy: Proxy, admin: psycopg.Connection) -> None:
    """What the next requests insert is committed, and not part of it."""
    assert proxy.sql("BEGIN").json()["command"] == "BEGIN"
    for number in range(1, 9):
        assert proxy.sql("INSERT INTO people (n) VALUES (1)").status_code == 200
        assert admin.execute("SELECT count(*) FROM people").fetchone() == (number,)


def test_only_allowed_statements_run(start_proxy: StartProxy, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With a list, a token is worth no more than the statements on it."""
    path = tmp_path_factory.mktemp("allow") / "statements.json"
    path.write_text('["SELECT $1::int"]')
    proxy = start_proxy("--allow-statements", str(path))
    assert proxy.rows("SELECT $1::int", 5) == [["5"]]
    refused = proxy.sql("SELECT usename FROM pg_user")
    assert (refused.status_code, refused.json()["code"]) == (403, "42501")


def test_requests_without_a_token_never_reach_postgres(start_proxy: StartProxy, admin: psycopg.Connection) -> None:
    """Both tokens are good while clients move from one to the other; none is not."""
    proxy = start_proxy("--min-connections", "0", TOKEN="first-token-of-two second-token-of-two")
    with proxy.client() as client:
        for token, status in (("none", 401), ("first-token-of-two", 200), ("second-token-of-two", 200)):
            assert client.get("/health").status_code == 200
            if status == 401:
                assert connections(admin, proxy) == 0
            headers = {"authorization": f"Bearer {token}"}
            assert client.post("/sql", json={"query": "SELECT 1"}, headers=headers).status_code == status


def test_bodies_over_the_limit_end_the_connection(start_proxy: StartProxy) -> None:
    """By length or by what really comes; the server stays."""
    proxy = start_proxy("--body-limit", "1000")
    with proxy.client() as client:
        for content in (b"x" * 1001, iter([b"x" * 600, b"x" * 600])):
            answer = client.post("/sql", content=content)
            assert (answer.status_code, answer.json()["code"]) == (413, "54000")
            assert answer.headers["connection"] == "close"
    assert proxy.rows("SELECT 1") == [["1"]]


def test_a_large_parameter_arrives_whole(start_proxy: StartProxy) -> None:
    """Larger than what the socket takes at once."""
    proxy = start_proxy("--body-limit", "40000000")
    query = "SELECT length($1), md5($1) = md5(repeat('é', 12000000))"
    assert proxy.rows(query, "é" * 12_000_000) == [["12000000", "t"]]
