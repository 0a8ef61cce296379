"""Writing the dialect's answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from sqlproxy.dialect.answer import Answer, encoder
from sqlproxy.dialect.arrays import array_to_json
from sqlproxy.errors import AnswerTooLarge

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult


class FakeResult:
    """A result of libpq, with as much of it as an answer reads."""

    def __init__(self, columns: list[tuple[str, int]], rows: list[list[bytes | None]], status: bytes) -> None:
        self._columns = columns
        self._rows = rows
        self.ntuples = len(rows)
        self.nfields = len(columns)
        self.command_status = status

    def fname(self, column: int) -> bytes:
        """The column's name."""
        return self._columns[column][0].encode()

    def ftype(self, column: int) -> int:
        """The OID of its type."""
        return self._columns[column][1]

    def ftable(self, _: int) -> int:
        """The OID of its table."""
        return 16_400

    def ftablecol(self, column: int) -> int:
        """Its number there."""
        return column + 1

    def fsize(self, _: int) -> int:
        """The size of its type."""
        return 4

    def fmod(self, _: int) -> int:
        """The type's modifier."""
        return -1

    def get_value(self, row: int, column: int) -> bytes | None:
        """One value."""
        return self._rows[row][column]


def result(columns: list[tuple[str, int]], rows: list[list[bytes | None]], status: bytes = b"") -> PGresult:
    """A fake result, as the type the answer takes."""
    return cast("PGresult", FakeResult(columns, rows, status))


def written(answer: Answer) -> Any:
    """The answer, parsed."""
    return json.loads(answer.json())


def test_an_answer_has_neons_members() -> None:
    """Fields, rows as arrays of text or null, the command and its count."""
    answer = Answer(array_mode=True, raw_text=True, limit=1000)
    answer.add(result([("id", 23), ("név", 25)], [[b"1", 'é"\n'.encode()], [b"2", None]], b"INSERT 0 2"))
    assert written(answer) == {
        "fields": [
            {
                "name": name,
                "tableID": 16_400,
                "columnID": number,
                "dataTypeID": oid,
                "dataTypeSize": 4,
                "dataTypeModifier": -1,
                "format": "text",
            }
            for number, name, oid in ((1, "id", 23), (2, "név", 25))
        ],
        "rows": [["1", 'é"\n'], ["2", None]],
        "command": "INSERT",
        "rowCount": 2,
        "rowAsArray": True,
    }


def test_rows_may_be_objects_and_values_converted() -> None:
    """Without the two headers a row is an object of JSON's own types."""
    answer = Answer(array_mode=False, raw_text=False, limit=1000)
    answer.add(result([("a", 23), ("b", 16), ("c", 25)], [[b"7", b"t", None]], b"SELECT 1"))
    assert written(answer)["rows"] == [{"a": 7, "b": True, "c": None}]
    assert written(answer)["rowAsArray"] is False


def test_an_answer_grows_chunk_by_chunk() -> None:
    """Rows of all chunks, columns of the first, and the command from whichever has it."""
    answer = Answer(array_mode=True, raw_text=True, limit=1000)
    answer.add(result([("a", 25)], [[b"1"]]))
    answer.add(result([("a", 25)], [[b"2"]], b"SELECT 2"))
    answer.add(result([("a", 25)], []))
    assert written(answer)["rows"] == [["1"], ["2"]]
    assert written(answer)["rowCount"] == 2
    assert len(written(answer)["fields"]) == 1


@pytest.mark.parametrize(
    ("status", "command", "count"),
    [
        (b"SELECT 3", "SELECT", 3),
        (b"INSERT 0 5", "INSERT", 5),
        (b"UPDATE 0", "UPDATE", 0),
        (b"CREATE TABLE", "CREATE", None),
        (b"BEGIN", "BEGIN", None),
        (b"", "", None),
    ],
)
def test_command_tags(status: bytes, command: str, count: int | None) -> None:
    """The first word is the command; a number at the end is the count."""
    answer = Answer(array_mode=True, raw_text=True, limit=1000)
    answer.add(result([], [], status))
    assert (written(answer)["command"], written(answer)["rowCount"]) == (command, count)


def test_an_answer_over_the_limit_is_refused_as_it_grows() -> None:
    """At the row that is too much, not at the end."""
    answer = Answer(array_mode=True, raw_text=True, limit=400)
    answer.add(result([("a", 25)], [[b"x" * 100]]))
    with pytest.raises(AnswerTooLarge) as caught:
        answer.add(result([("a", 25)], [[b"x" * 200]]))
    assert caught.value.limit == 400


def test_fields_count_toward_the_limit() -> None:
    """An answer without rows may have many columns, and there may be many such answers."""
    with pytest.raises(AnswerTooLarge):
        Answer(array_mode=True, raw_text=True, limit=400).add(result([("a", 25)] * 4, [], b"SELECT 0"))
    answer = Answer(array_mode=True, raw_text=True, limit=1000)
    answer.add(result([("a", 25), ("b", 25)], [["é".encode(), None]], b"SELECT 1"))
    assert abs(answer.size - len(answer.json())) < 40


@pytest.mark.parametrize(
    ("oid", "text", "expected"),
    [
        (16, "t", True),
        (16, "f", False),
        (21, "-7", -7),
        (23, "2147483647", 2147483647),
        (20, "9007199254740993", "9007199254740993"),
        (700, "1.5", 1.5),
        (701, "1e+20", 1e20),
        (701, "NaN", "NaN"),
        (701, "-Infinity", "-Infinity"),
        (1700, "1.10", "1.10"),
        (114, '{"a": 1}', {"a": 1}),
        (3802, "[1, null]", [1, None]),
        (25, "plain", "plain"),
        (17, "\\x00ff", "\\x00ff"),
        (1000, "{t,f,NULL}", [True, False, None]),
        (1007, "{1,2,NULL}", [1, 2, None]),
        (1005, "{1}", [1]),
        (1016, "{1}", ["1"]),
        (1022, "{1.5,NaN}", [1.5, "NaN"]),
        (1009, '{a,"b c",NULL,"NULL"}', ["a", "b c", None, "NULL"]),
        (3807, '{"{\\"a\\": [1]}"}', [{"a": [1]}]),
        (1020, "{(1,1),(0,0);(2,2),(1,1)}", ["(1,1),(0,0)", "(2,2),(1,1)"]),
        (99_999, "{a}", "{a}"),
    ],
)
def test_values_become_json_types(oid: int, text: str, expected: object) -> None:
    """Those that JSON can hold without loss; all others stay Postgres' text."""
    assert json.loads(encoder(oid, raw_text=False)(text)) == expected
    assert json.loads(encoder(oid, raw_text=True)(text)) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", []),
        ('{""}', [""]),
        ("{{1,2},{3,4}}", [["1", "2"], ["3", "4"]]),
        ("[0:1]={7,8}", ["7", "8"]),
        ("[1:1][-2:-1]={{7,8}}", [["7", "8"]]),
        (r'{"a\"b","c\\d","{}",","}', ['a"b', "c\\d", "{}", ","]),
        ('{"line\nfeed"}', ["line\nfeed"]),
    ],
)
def test_arrays_are_read(text: str, expected: object) -> None:
    """Nested, quoted, escaped, with bounds."""
    assert json.loads(array_to_json(text, json.dumps)) == expected


@pytest.mark.parametrize("text", ["", "1", "{", "{1", "{1}}", '{"a}', "{1}x"])
def test_what_is_not_an_array_is_an_error(text: str) -> None:
    """Rather than JSON that is not JSON."""
    with pytest.raises(ValueError, match="not an array"):
        array_to_json(text, json.dumps)
