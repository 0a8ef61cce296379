"""Validate responses against the OpenAPI document."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema_rs import Draft202012Validator

Json = dict[str, Any]

# Headers that the document does not list. HTTP servers and proxies add them, except Content-Type, which the document
# describes as the media type of `content`.
TRANSPORT_HEADERS = {
    *("connection", "content-encoding", "content-length", "content-type", "date", "keep-alive", "transfer-encoding")
}
HTML = "text/html"
_UNKNOWN_PATH = "/problems/{code}"


class Described:
    """An OpenAPI document that responses are validated against.

    Args:
        document: the parsed OpenAPI document.
    """

    def __init__(self, document: Json) -> None:
        self.document = document
        self._validator = cache(self._make_validator)

    def find_differences(
        self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes
    ) -> list[str]:
        """Return the differences between a response and its description; an empty list if there are none.

        Args:
            method: the request's method.
            path: the request's path, without the query.
            status: the response's status.
            headers: the response's headers, with names in lower case.
            body: the response's body.
        """
        response = self._find_response(method, path, status)
        if response is None:
            return [f"{method} {path} is not described with {status}"]
        differences = self._find_header_differences(response["headers"], headers)
        content = response.get("content", {})
        if not content or method == "HEAD":
            return [*differences, "a body where none is described"] if body else differences
        media_type, _, parameter = headers.get("content-type", "").partition("; ")
        if media_type not in content or parameter != ("charset=utf-8" if media_type == HTML else ""):
            return [*differences, f"{media_type} is not described"]
        value = body.decode() if media_type == HTML else json.loads(body)
        return differences + self.find_schema_errors(content[media_type]["schema"], value)

    def describes(self, method: str, path: str, status: int, media_type: str) -> bool:
        """Return whether a response with this media type is described, regardless of its content."""
        response = self._find_response(method, path, status) or {}
        return media_type in response.get("content", {})

    def find_schema_errors(self, schema: Json, value: object) -> list[str]:
        """Return the errors of a value against a schema of the document."""
        errors = self._validator(json.dumps(schema)).iter_errors(value)
        return [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in errors]

    def _make_validator(self, schema: str) -> Draft202012Validator:
        resolved = {"components": self.document["components"], "allOf": [json.loads(schema)]}
        return Draft202012Validator(resolved, validate_formats=True)

    def _find_response(self, method: str, path: str, status: int) -> Json | None:
        """Return the description of a response, or None.

        An unknown path has the description of `_UNKNOWN_PATH`. A method without a description has that of POST, or of
        the path's first method.
        """
        paths = self.document["paths"]
        patterns = {each: re.sub(r"\\{\w+\\}", "[a-z_]+", re.escape(each)) for each in paths}
        item = paths[next((each for each in paths if re.fullmatch(patterns[each], path)), _UNKNOWN_PATH)]
        operation = item.get(method.lower()) or item.get("post") or next(iter(item.values()))
        described: Json | None = operation["responses"].get(str(status))
        return described

    def _find_header_differences(self, described: Json, headers: Mapping[str, str]) -> list[str]:
        components = self.document["components"]["headers"]
        resolved = {
            name: components[name] if header == {"$ref": f"#/components/headers/{name}"} else header
            for name, header in described.items()
        }
        missing = {name for name, header in resolved.items() if header["required"]} - headers.keys()
        differences = [f"{name} is missing" for name in sorted(missing)]
        for name, value in headers.items():
            if name in resolved:
                schema = resolved[name]["schema"]
                differences += self.find_schema_errors(schema, int(value) if schema.get("type") == "integer" else value)
            elif name not in TRANSPORT_HEADERS:
                differences.append(f"{name} is not described")
        return differences
