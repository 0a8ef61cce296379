"""Forms and queries (application/x-www-form-urlencoded). Fields have the same rules as in JSON."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from signup.json_codec import encode
from signup.problems import MalformedForm, UnsupportedMediaType
from signup.web.messages import KEY

# The name of the form field with the idempotency key, and of the header that JSON requests use instead.
KEY_FIELD = "idempotency-key"
# The maximum number of fields in a form. The page's form has at most 17 fields.
MOST_FIELDS = 100
# The maximum number of parameters in a query. It is above one because mail programs may add parameters to a link.
MOST_PARAMETERS = 20


def parse_form(body: bytes) -> dict[str, str]:
    """Return the fields of a form (https://url.spec.whatwg.org/#urlencoded-parsing).

    Raises:
        MalformedForm: the form is not in UTF-8, or has a duplicate field or more than `MOST_FIELDS` fields.
        UnsupportedMediaType: the body starts like a JSON object.
    """
    # `curl --data` declares JSON as a form by default. No browser sends a form that starts like this.
    if body.lstrip().startswith(b"{"):
        raise UnsupportedMediaType("json_sent_as_form")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError as exc:
        raise MalformedForm("invalid_form") from exc
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise MalformedForm("duplicate_field")
    return fields


def query_value(query: str, name: str) -> str | None:
    """Return the value of a query parameter; None if it is missing.

    Return "" if the parameter is repeated, or the query has more than `MOST_PARAMETERS` parameters.
    """
    try:
        pairs = parse_qsl(query[1:], keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        return ""
    values = [value for field_name, value in pairs if field_name == name]
    return values[0] if len(values) == 1 else "" if values else None


@dataclass(slots=True)
class Form:
    """A posted form, read as JSON with the same fields.

    Args:
        source: reads the body, as `Request.read` does.
        headers: the headers of the equivalent JSON request, to which `read` adds the form's idempotency key.
        as_object: returns the JSON object with the fields of the form.
        fields: the fields of the form without the idempotency key; empty until the form is read.
    """

    source: Callable[[int, float], Awaitable[bytes | None]]
    headers: dict[str, str]
    as_object: Callable[[dict[str, str]], Mapping[str, object]] = dict
    fields: dict[str, str] = field(default_factory=dict)

    async def read(self, limit: int, deadline: float) -> bytes | None:
        """Return the fields as a JSON object, or None if the form has more than `limit` bytes.

        Raises:
            MalformedForm: the form cannot be parsed.
            UnsupportedMediaType: the body starts like a JSON object.
            MalformedJson: the form was cut off.
            BodyTimeout: the form did not arrive by `deadline`.
        """
        body = await self.source(limit, deadline)
        if body is None:
            return None
        self.fields = parse_form(body)
        key, header = self.fields.pop(KEY_FIELD, None), self.headers.get(KEY_FIELD)
        # The form's key replaces a valid header. An invalid header is kept, and refused later.
        if key is not None and (header is None or KEY.fullmatch(header)):
            self.headers[KEY_FIELD] = key
        return encode(self.as_object(self.fields))
