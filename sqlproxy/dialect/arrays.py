"""Convert Postgres' text form of arrays to JSON (section 8.15.6 of its manual)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["array_to_json"]

_BOUNDS = re.compile(r"(?:\[[+-]?\d+:[+-]?\d+\])+=")


def array_to_json(text: str, element: Callable[[str], str], delimiter: str = ",") -> str:
    r"""Convert an array to JSON text; `{1,NULL,"a b"}` becomes `[1,null,"a b"]`.

    Args:
        text: Postgres' text. Lower bounds other than 1 (`[0:1]={...}`) are dropped: JSON cannot express them.
        element: writes one element, unquoted and unescaped, as JSON.
        delimiter: the character between elements: a comma for every built-in type except `box`.

    Raises:
        ValueError: the text is not an array. Postgres never sends such text.
    """
    # Possessive quantifiers keep no backtracking state, which would take about 100 bytes per character of an element.
    token = re.compile(
        rf'\{{|\}}|{re.escape(delimiter)}|"(?:[^"\\]++|\\.)*+"|[^{{}}"{re.escape(delimiter)}]++', re.DOTALL
    )
    bounds = _BOUNDS.match(text)
    position = bounds.end() if bounds else 0
    parts: list[str] = []
    depth = 0
    while position < len(text):
        match = token.match(text, position)
        if match is None:
            break
        position = match.end()
        piece = match[0]
        if piece == "{":
            depth += 1
            parts.append("[")
        elif piece == "}":
            depth -= 1
            parts.append("]")
            if depth == 0:
                break
        elif piece == delimiter:
            parts.append(",")
        elif piece[0] == '"':
            parts.append(element(_unescape(piece[1:-1])))
        else:
            parts.append("null" if piece == "NULL" else element(piece))
    if depth or parts[:1] != ["["] or position != len(text):
        raise ValueError("not an array")
    return "".join(parts)


def _unescape(text: str) -> str:
    # This is much faster than a regular expression. NUL never occurs in Postgres' text, so it can stand in for an
    # escaped backslash.
    return text.replace("\\\\", "\0").replace("\\", "").replace("\0", "\\") if "\\" in text else text
