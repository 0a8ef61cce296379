"""Write libpq's results as the JSON of Neon's SQL over HTTP, without converting the values to Python types.

{"fields": [{"name", "tableID", "columnID", "dataTypeID", "dataTypeSize", "dataTypeModifier", "format": "text"}],
 "rows": [[...]] or [{...}], "command": "INSERT", "rowCount": 1, "rowAsArray": true}
"""

from __future__ import annotations

import json
import math
from functools import partial
from typing import TYPE_CHECKING

from psycopg import adapters

from sqlproxy.dialect.arrays import array_to_json
from sqlproxy.errors import AnswerTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.pq.abc import PGresult

    from sqlproxy.operations.memory import Lease

__all__ = ["Answer", "encoder"]

# Encoding a str is a single call into C; json.dumps() would construct an encoder for each str.
_quote = json.JSONEncoder(ensure_ascii=False).encode
# Bytes of an answer in addition to its fields and rows.
_OVERHEAD_BYTES = 80


def _float(text: str) -> str:
    # JSON has no NaN or infinity, so they are sent as strings.
    return text if math.isfinite(float(text)) else f'"{text}"'


def _bool(text: str) -> str:
    return "true" if text == "t" else "false"


# The types whose values are sent as JSON numbers, booleans or JSON, by OID (pg_type.dat). All other types except arrays
# are sent as JSON strings, even int8 and numeric, because most clients lose digits of a JSON number.
_SCALARS: dict[int, Callable[[str], str]] = {
    16: _bool,
    21: str,  # int2
    23: str,  # int4
    114: str,  # json; Postgres has validated it
    3802: str,  # jsonb
    700: _float,
    701: _float,
}

# psycopg's registry has the array OIDs and the delimiters of Postgres' built-in types (a semicolon for box).
_ARRAYS: dict[int, Callable[[str], str]] = {
    info.array_oid: partial(array_to_json, element=_SCALARS.get(info.oid, _quote), delimiter=info.delimiter)
    for info in adapters.types
    if info.array_oid
}
_ENCODERS = _SCALARS | _ARRAYS


def encoder(oid: int, *, raw_text: bool) -> Callable[[str], str]:
    """Return the function that writes a value of this type as JSON text, which is always a string with `raw_text`.

    Arrays of types made with `CREATE TYPE` stay text, because their OIDs differ between databases.
    """
    return _quote if raw_text else _ENCODERS.get(oid, _quote)


class Answer:
    """The answer to one statement. It grows as libpq returns rows.

    Args:
        array_mode: whether rows are arrays rather than objects.
        raw_text: whether values are sent as Postgres' text.
        limit: the largest size in bytes of JSON.
        lease: counts the answer's memory; None to count nothing.

    Attributes:
        command: the first word of the command tag, such as INSERT; "" until the statement ends.
        limit: the largest size in bytes of JSON.
        size: the size so far, in bytes of JSON.
    """

    __slots__ = (
        *("_array_mode", "_columns", "_count", "_fields", "_lease", "_raw_text", "_rows"),
        *("command", "limit", "size"),
    )

    def __init__(self, *, array_mode: bool, raw_text: bool, limit: int, lease: Lease | None = None) -> None:
        self._lease = lease
        self._array_mode = array_mode
        self._raw_text = raw_text
        self.limit = limit
        # The rows share one buffer, because an object for each row would take several times the memory of a short row.
        self._rows = bytearray()
        self._columns: list[tuple[str, Callable[[str], str]]] | None = None
        self._fields = b""
        self.command = ""
        self._count: int | None = None
        self.size = 0

    def add(self, result: PGresult) -> None:
        """Append the next rows of the statement, and take its command tag if it has ended.

        Raises:
            AnswerTooLarge: the answer is over the limit.
            MemoryBusy: the memory budget of the process is used up.
        """
        tag = result.command_status
        # In chunked mode, libpq sets the command tag on the last chunk, or on an empty result after a full last chunk.
        if tag:
            self.command, *words = tag.decode().split(" ")
            count = words[-1] if words else ""
            # Some tags end in a count, such as "UPDATE 3"; others do not, such as "CREATE TABLE".
            self._count = int(count) if count.isdecimal() else None
        if self._columns is None:
            self._columns = self._describe(result)
        for row in range(result.ntuples):
            text = self._row(result, row).encode()
            self._grow(len(text) + 1)
            self._rows += text
            self._rows += b","

    def json(self) -> bytes:
        """Return the answer as a JSON object."""
        count = "null" if self._count is None else self._count
        end = (
            f'],"command":{_quote(self.command)},"rowCount":{count},'
            f'"rowAsArray":{"true" if self._array_mode else "false"}}}'
        )
        rows = memoryview(self._rows)[: max(0, len(self._rows) - 1)]
        return b"".join((b'{"fields":[', self._fields, b'],"rows":[', rows, end.encode()))

    def _grow(self, size: int) -> None:
        self.size += size
        if self.size > self.limit:
            raise AnswerTooLarge(self.limit)
        if self._lease is not None:
            self._lease.take(size)

    def _describe(self, result: PGresult) -> list[tuple[str, Callable[[str], str]]]:
        columns = []
        fields = []
        for column in range(result.nfields):
            name = _quote((result.fname(column) or b"").decode())
            oid = result.ftype(column)
            fields.append(
                f'{{"name":{name},"tableID":{result.ftable(column)},"columnID":{result.ftablecol(column)},'
                f'"dataTypeID":{oid},"dataTypeSize":{result.fsize(column)},'
                f'"dataTypeModifier":{result.fmod(column)},"format":"text"}}'
            )
            columns.append((name + ":", encoder(oid, raw_text=self._raw_text)))
        self._fields = ",".join(fields).encode()
        self._grow(len(self._fields) + _OVERHEAD_BYTES)
        return columns

    def _row(self, result: PGresult, row: int) -> str:
        values = []
        for column, (key, encode) in enumerate(self._columns or ()):
            value = result.get_value(row, column)
            text = "null" if value is None else encode(value.decode())
            values.append(text if self._array_mode else key + text)
        return f"[{','.join(values)}]" if self._array_mode else f"{{{','.join(values)}}}"
