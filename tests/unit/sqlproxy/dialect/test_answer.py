"""Serialisation of responses."""

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
    """A libpq result with the methods that `Answer` uses."""

    def __init__(self, columns: list[tuple[str, int]], rows: list[list[bytes | None]], status: bytes) -> None:
        self._columns = columns
        self._rows = rows
        self.ntuples = len(rows)
        self.nfields = len(columns)
        self.command_status = status

    def fname(self, column: int) -> bytes:
        """Return the column's name."""
        return self._columns[column][0].encode()

    def ftype(self, column: int) -> int:
        """Return the OID of the column's type."""
        return self._columns[column][1]

    def ftable(self, _: int) -> int:
        """Return the OID of the column's table."""
        return 16_400

    def ftablecol(self, column: int) -> int:
        """Return the column's number in its table."""
        return column + 1

    def fsize(self, _: int) -> int:
        """Return the size of the column's type."""
        return 4

    def fmod(self, _: int) -> int:
        """Return the type modifier."""
        return -1

    def get_value(self, row: int, column: int) -> bytes | None:
        """Return one value."""
        return self._rows[row][column]


def result(columns: list[tuple[str, int]], rows: list[list[bytes | None]], status: bytes = b"") -> PGresult:
    """Return a fake result."""
    return cast("PGresult", FakeResult(columns, rows, status))


def parsed(answer: Answer) -> Any:
    """Return the response as parsed JSON."""
    return json.loads(answer.json())


def test_a_response_has_neons_members() -> None:
    """The members contain the columns, the rows as arrays of text or null, the command and its row count."""
    answer = Answer(array_mode=True, raw_text=True, limit=1000)
    answer.add(result([("id", 23), ("név", 25)], [[b"1", 'é"\n'.encode()], [b"2", None]], b"INSERT 0 2"))
    assert parsed(answer) == {
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


def test_rows_can_be_objects_with_converted_values() -> None:
    """A request gets this format without Neon's headers for arrays and raw text."""
    answer = Answer(array_mode=False, raw_text=False, limit=1000)
    answer.add(result([("a", 23), ("b", 16), ("c", 25)], [[b"7", b"t", None]], b"SELECT 1"))
    assert parsed(answer)["rows"] == [{"a": 7, "b": True, "c": None}]
    assert parsed(answer)["rowAsArray"] is False


def test_chunks_are_combined() -> None:
    """Rows come from all chunks, columns from the first, and the command from the chunk that has it."""
    answer = Answer(array_mode=True, raw_text=True, limit=1000)
    answer.add(result([("a", 25)], [[b"1"]]))
    answer.add(result([("a", 25)], [[b"2"]], b"SELECT 2"))
    answer.add(result([("a", 25)], []))
    assert parsed(answer)["rows"] == [["1"], ["2"]]
    assert parsed(answer)["rowCount"] == 2
    assert len(parsed(answer)["fields"]) == 1


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
def test_a_command_tag_is_split_into_command_and_count(status: bytes, command: str, count: int | None) -> None:
    """The first word is the command; a number at the end is the row count."""
    answer = Answer(array_mode=True, raw_text=True, limit=1000)
    answer.add(result([], [], status))
    assert (parsed(answer)["command"], parsed(answer)["rowCount"]) == (command, count)


def test_a_response_beyond_the_limit_is_rejected_while_it_grows() -> None:
    """The error is raised at the first row beyond the limit."""
    answer = Answer(array_mode=True, raw_text=True, limit=400)
    answer.add(result([("a", 25)], [[b"x" * 100]]))
    with pytest.raises(AnswerTooLarge) as caught:
        answer.add(result([("a", 25)], [[b"x" * 200]]))
    assert caught.value.limit == 400


def test_column_descriptions_count_toward_the_limit() -> None:
    """A response without rows may have many columns. The counted size is close to that of the JSON."""
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
def test_values_are_converted_to_json_types(oid: int, text: str, expected: object) -> None:
    """Only lossless conversions are made; other values stay text."""
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
def test_arrays_are_parsed(text: str, expected: object) -> None:
    """Arrays may be nested and have bounds; elements may be quoted and escaped."""
    assert json.loads(array_to_json(text, json.dumps)) == expected


@pytest.mark.parametrize("text", ["", "1", "{", "{1", "{1}}", '{"a}', "{1}x"])
def test_an_invalid_array_is_an_error(text: str) -> None:
    """If such a text were converted, the response could be invalid JSON."""
    with pytest.raises(ValueError, match="not an array"):
        array_to_json(text, json.dumps)
