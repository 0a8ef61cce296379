"""Request bodies: JSON objects of a bounded size."""

import re
from collections.abc import Mapping
from typing import Any

from signup.json_codec import parse_object
from signup.problems import BodyTooLarge, UnsupportedMediaType
from signup.web.messages import JSON, LARGEST_BODY, Request

# A parameter of a media type, whose value may be quoted.
_PARAMETER = re.compile(r';\s*([^\s;="]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')


def require_json(headers: Mapping[str, str]) -> None:
    """Refuse a body that is not declared as uncompressed JSON in UTF-8, before it is read."""
    if headers.get("content-type") == JSON and "content-encoding" not in headers:
        return  # the most common spelling
    content_type = headers.get("content-type", "").lower()
    charsets = {value.strip('" ') for name, value in _PARAMETER.findall(content_type) if name == "charset"}
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if content_type.partition(";")[0].strip() != JSON or charsets - {"utf-8"} or encoding not in ("", "identity"):
        raise UnsupportedMediaType


async def read_object(request: Request, deadline: float) -> dict[str, Any]:
    """Return the JSON object in the body of a request.

    Raises:
        UnsupportedMediaType: the body is not declared as uncompressed JSON in UTF-8.
        BodyTooLarge, BodyTimeout, MalformedJson: the body is too large, late or malformed.
    """
    require_json(request.headers)
    body = await request.read(LARGEST_BODY, deadline)
    if body is None:
        raise BodyTooLarge
    return parse_object(body)
