"""Sign-ups that a form posts (application/x-www-form-urlencoded): the same fields as in JSON, under the same rules."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from signup.json_codec import encode
from signup.problems import MalformedForm, UnsupportedMediaType
from signup.web.messages import KEY

# The one field that is the page's own; Turnstile's is one of the API's.
KEY_FIELD = "idempotency-key"
# Of the page there are five.
MOST_FIELDS = 100


def parse_form(body: bytes) -> dict[str, str]:
    """Return the fields of a form (https://url.spec.whatwg.org/#urlencoded-parsing).

    Raises:
        MalformedForm: it is not in UTF-8, has a field twice, or more than `MOST_FIELDS`.
        UnsupportedMediaType: it is JSON, of which a form would make a field whose name is all that was sent.
    """
    # As `curl --data` declares it unless it is told otherwise; no browser begins a form like this.
    if body.lstrip().startswith(b"{"):
        raise UnsupportedMediaType("JSON is declared as a form")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError as exc:
        raise MalformedForm("not in UTF-8, or too many fields") from exc
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise MalformedForm("a field stands twice")
    return fields


@dataclass(slots=True)
class Form:
    """A form that is being posted, as one reads JSON.

    Args:
        source: reads its body, as `Request.read` does.
        headers: of the request that it is read through; gets the form's idempotency key.
        fields: what was posted, once it was read; without the key.
    """

    source: Callable[[int, float], Awaitable[bytes | None]]
    headers: dict[str, str]
    fields: dict[str, str] = field(default_factory=dict)

    async def read(self, limit: int, deadline: float) -> bytes | None:
        """Return the JSON object that would ask for the same, or None when the form is longer than so many bytes.

        Raises:
            MalformedForm: it cannot be read.
            BodyTimeout: it is not there by `deadline`.
        """
        body = await self.source(limit, deadline)
        if body is None:
            return None
        self.fields = parse_form(body)
        key, sent = self.fields.pop(KEY_FIELD, None), self.headers.get(KEY_FIELD)
        # A header that is no key stays, and is refused.
        if key is not None and (sent is None or KEY.fullmatch(sent)):
            self.headers[KEY_FIELD] = key
        return encode(self.fields)
