"""The fields of the setting `EXTRA_FIELDS`, which is written in a subset of JSON Schema.

docs/fields.md describes the subset. A JSON body has these fields in the object `extra`; in a form they are named
`extra.NAME`. Sign-ups import this module only with the setting.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, Literal, TypeGuard, cast

from pydantic_core import PydanticCustomError

from signup.fields.confusables import trim
from signup.fields.models import EXTRA_FIELD, line
from signup.i18n.catalog import LANGUAGES
from signup.json_codec import parse_object
from signup.problems import FieldCode, FieldError, MalformedJson

MOST_FIELDS = 10
MOST_OPTIONS = 100
LONGEST_TEXT, DEFAULT_LONGEST = 1000, 200
LONGEST_TITLE = 100
# The largest integer that every JSON parser preserves (I-JSON, RFC 7493).
LARGEST = 2**53 - 1

Value = str | int | bool
_Type = Literal["string", "integer", "boolean"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
# Names of members that every JavaScript object has.
_RESERVED = {"constructor", "toString", "valueOf", "toLocaleString"}
_RESERVED |= {"hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable"}
_KEYWORDS = {"string": {"minLength", "maxLength"}, "integer": {"minimum", "maximum"}, "boolean": {"const"}}
_INTEGER = re.compile(r"-?[0-9]{1,16}")
_PREFIX = f"{EXTRA_FIELD}."
_BOOLEANS = {"true": True, "false": False}


class ExtraFieldsError(ValueError):
    """The schema is invalid. The message does not quote the schema."""


class _Refused(Exception):
    """The value of an extra field is refused."""

    def __init__(self, code: FieldCode, limit: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.limit = limit


@dataclass(frozen=True, slots=True)
class ExtraField:
    """An additional field of a sign-up.

    Args:
        name: the name in the object `extra`.
        type: the JSON type.
        title: the label in languages without an entry in `titles`.
        titles: the labels by language tag.
        required: whether a sign-up needs the field.
        least: the shortest length in code points, or the smallest integer.
        most: the longest length in code points, or the largest integer.
        options: the only valid values; empty if every value within the bounds is valid.
        option_titles: the labels of the options, by language tag.
        must_be_true: whether only true is valid.
    """

    name: str
    type: _Type
    title: str
    titles: Mapping[str, str]
    required: bool
    least: int
    most: int
    options: tuple[str | int, ...]
    option_titles: Mapping[str, tuple[str, ...]]
    must_be_true: bool

    def check(self, value: object) -> Value:
        """Return a value of a JSON body in canonical form, or raise `_Refused`."""
        if self.type == "string":
            return self._text(value)
        if self.type == "integer":
            return self._integer(value)
        if not isinstance(value, bool):
            raise _Refused("not_a_boolean")
        if self.must_be_true and not value:
            raise _Refused("required")
        return value

    def from_text(self, text: str | None) -> object:
        """Return the JSON value of a form's text; None for an absent value.

        Browsers omit an unticked checkbox, so an absent boolean is false, unless it must be true. For other
        types a text of spaces counts as absent. A text that is not a value of the field's type is returned unchanged,
        and `check` refuses it.
        """
        if self.type == "boolean":
            return _BOOLEANS.get(text, text) if text else None if self.must_be_true else False
        stripped = trim(text or "")
        if not stripped:
            return None
        if self.type == "integer" and _INTEGER.fullmatch(stripped):
            return float(stripped)
        return text

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the values in a JSON body."""
        schema: dict[str, Any] = {"type": self.type, "description": self.title}
        if self.must_be_true:
            return schema | {"const": True}
        if self.options:
            return schema | {"enum": list(self.options)}
        if self.type == "string":
            return schema | {"minLength": self.least, "maxLength": self.most, "pattern": r"\S"}
        return schema | ({"minimum": self.least, "maximum": self.most} if self.type == "integer" else {})

    def form_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the values in a form."""
        if self.type == "boolean":
            values = ["true"] if self.must_be_true else ["true", "false"]
            return {"type": "string", "enum": values, "description": self.title}
        return self.schema() if self.required else {"anyOf": [self.schema(), {"const": ""}]}

    def example(self) -> Value:
        """Return an example of a valid value."""
        if self.type == "boolean":
            return True
        if self.options:
            return self.options[0]
        if self.type == "integer":
            return min(max(self.least, 1), self.most)
        return "Example".ljust(self.least, "x")[: self.most]

    def label(self, language: str) -> str:
        """Return the label in a language."""
        return self.titles.get(language, self.title)

    def choices(self, language: str) -> list[tuple[str, str]]:
        """Return the text of each option in a form, and its label in a language."""
        texts = [str(each) for each in self.options]
        return list(zip(texts, self.option_titles.get(language, texts), strict=True))

    def _text(self, value: object) -> str:
        if not isinstance(value, str):
            raise _Refused("not_a_string")
        if self.options:
            # Compare exactly, as JSON Schema does.
            if value not in self.options:
                raise _Refused("not_an_option")
            return value
        try:
            text = line(value, self.most)
        except PydanticCustomError as exc:
            raise _Refused(cast("FieldCode", exc.type), (exc.context or {}).get("limit")) from None
        if len(text) < self.least:
            raise _Refused("too_short", self.least)
        return text

    def _integer(self, value: object) -> int:
        # The JSON parser returns all numbers as floats. Floats above `LARGEST` may be rounded; the bounds exclude them.
        if not isinstance(value, float):
            raise _Refused("not_an_integer")
        if value > self.most:
            raise _Refused("too_large", self.most)
        if value < self.least:
            raise _Refused("too_small", self.least)
        if not value.is_integer():
            raise _Refused("not_an_integer")
        if self.options and value not in self.options:
            raise _Refused("not_an_option")
        return int(value)


@dataclass(frozen=True, slots=True)
class ExtraFields:
    """The extra fields of a deployment.

    Args:
        fields: the fields, in the order of the setting.
    """

    fields: tuple[ExtraField, ...]

    def take(self, body: dict[str, Any]) -> tuple[dict[str, Value], list[FieldError]]:
        """Remove the object `extra` from a parsed body. Return its valid values and its errors."""
        values = body.pop(EXTRA_FIELD, {})
        if not isinstance(values, dict):
            return {}, [FieldError(EXTRA_FIELD, "not_an_object")]
        valid: dict[str, Value] = {}
        errors = []
        for field in self.fields:
            if field.name in values:
                try:
                    valid[field.name] = field.check(values.pop(field.name))
                except _Refused as exc:
                    errors.append(FieldError(field.name, exc.code, exc.limit, EXTRA_FIELD))
            elif field.required:
                errors.append(FieldError(field.name, "required", parent=EXTRA_FIELD))
        errors += [FieldError(name, "unknown_field", parent=EXTRA_FIELD) for name in values]
        return valid, errors

    def from_form(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Return the JSON body that is equivalent to the fields of a form."""
        body: dict[str, Any] = {name: text for name, text in form.items() if not name.startswith(_PREFIX)}
        extra: dict[str, object] = {
            name.removeprefix(_PREFIX): text for name, text in form.items() if name.startswith(_PREFIX)
        }
        for field in self.fields:
            value = field.from_text(cast("str | None", extra.pop(field.name, None)))
            if value is not None:
                extra[field.name] = value
        # A form field named `extra` replaces the object, and `take` refuses it.
        return {EXTRA_FIELD: extra, **body}

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the object `extra` in a request."""
        required = [field.name for field in self.fields if field.required]
        return {
            "type": "object",
            "description": "The fields of this deployment.",
            "properties": {field.name: field.schema() for field in self.fields},
            "additionalProperties": False,
            **({"required": required} if required else {}),
            "examples": [self.example()],
        }

    def form_schemas(self) -> dict[str, dict[str, Any]]:
        """Return the JSON Schema of each field of a form."""
        return {f"{_PREFIX}{field.name}": field.form_schema() for field in self.fields}

    def required_in_form(self) -> list[str]:
        """Return the fields that a form needs. A checkbox may be absent, unless it must be true."""
        required = [
            field for field in self.fields if field.required and (field.type != "boolean" or field.must_be_true)
        ]
        return [f"{_PREFIX}{field.name}" for field in required]

    def example(self) -> dict[str, Value]:
        """Return an example of the object `extra`."""
        return {field.name: field.example() for field in self.fields}

    def form_example(self) -> dict[str, Value]:
        """Return an example of the form's fields."""
        return {f"{_PREFIX}{name}": "true" if value is True else value for name, value in self.example().items()}


@cache
def parse_extra_fields(text: str) -> ExtraFields:
    """Parse the setting `EXTRA_FIELDS`.

    Raises:
        ExtraFieldsError: the schema is wrong, or uses a keyword outside the subset.
    """
    try:
        schema = parse_object(text.encode())
    except MalformedJson as exc:
        raise ExtraFieldsError("must be a JSON object without duplicate names") from exc
    if not schema.keys() <= {"type", "properties", "required"} or schema.get("type", "object") != "object":
        raise ExtraFieldsError("must have only the members properties, required and type, which must be object")
    properties, required = schema.get("properties"), schema.get("required", [])
    if not isinstance(properties, dict) or not 0 < len(properties) <= MOST_FIELDS:
        raise ExtraFieldsError(f"must have 1 to {MOST_FIELDS} properties")
    if not _is_unique_list(required) or not all(isinstance(each, str) and each in properties for each in required):
        raise ExtraFieldsError("must list names of properties, each once, in required")
    fields = []
    for number, (name, each) in enumerate(properties.items(), 1):
        try:
            fields.append(_field(name, each, required=name in required))
        except ExtraFieldsError as exc:
            raise ExtraFieldsError(f"is wrong at property {number}: {exc}") from exc
    return ExtraFields(tuple(fields))


def _field(name: str, schema: object, *, required: bool) -> ExtraField:
    """Return a field, or raise `ExtraFieldsError` with the reason."""
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise ExtraFieldsError(
            "its name must be 1 to 40 ASCII letters, digits or underscores, begin with a letter, and not be a member "
            "of every JavaScript object"
        )
    if not isinstance(schema, dict):
        raise ExtraFieldsError("it must be an object")
    field_type = _field_type(schema)
    options = _options(field_type, schema["enum"]) if "enum" in schema else ()
    if "const" in schema and (schema["const"] is not True or not required):
        raise ExtraFieldsError("const must be true, and the property required")
    least, most = _bounds(field_type, schema)
    return ExtraField(
        name=name,
        type=field_type,
        title=schema["title"],
        titles=_titles(schema),
        required=required,
        least=least,
        most=most,
        options=options,
        option_titles=_option_titles(schema, len(options)),
        must_be_true="const" in schema,
    )


def _field_type(schema: dict[str, Any]) -> _Type:
    """Return the type of a field. Refuse unknown keywords and an invalid title."""
    field_type = schema.get("type")
    if not isinstance(field_type, str) or field_type not in _KEYWORDS:
        raise ExtraFieldsError("its type must be string, integer or boolean")
    allowed = {"type", "title", "titles"}
    allowed |= {"enum", "enumTitles"} if "enum" in schema and field_type != "boolean" else _KEYWORDS[field_type]
    # The message names only keywords of the subset, because any other text may be confidential.
    unsupported = sorted((schema.keys() - allowed) & {"enum", "enumTitles", *chain(*_KEYWORDS.values())})
    if not schema.keys() <= allowed:
        raise ExtraFieldsError(f"{unsupported[0] if unsupported else 'a keyword'} is not supported here")
    if not _is_title(schema.get("title")):
        raise ExtraFieldsError(f"its title must be 1 to {LONGEST_TITLE} visible characters in NFC")
    return cast("_Type", field_type)


def _titles(schema: dict[str, Any]) -> dict[str, str]:
    titles = schema.get("titles", {})
    if not _is_by_language(titles) or not all(map(_is_title, titles.values())):
        raise ExtraFieldsError(f"its titles must be an object with a title for some of {', '.join(LANGUAGES)}")
    return cast("dict[str, str]", titles)


def _option_titles(schema: dict[str, Any], count: int) -> dict[str, tuple[str, ...]]:
    titles = schema.get("enumTitles", {})
    if not _is_by_language(titles) or not all(
        isinstance(each, list) and len(each) == count and all(map(_is_title, each)) for each in titles.values()
    ):
        raise ExtraFieldsError(
            f"its enumTitles must be an object with a title for each value of enum, for some of {', '.join(LANGUAGES)}"
        )
    return {language: tuple(each) for language, each in titles.items()}


def _bounds(field_type: _Type, schema: dict[str, Any]) -> tuple[int, int]:
    """Return the bounds of the length, or of the value."""
    if field_type == "string":
        least = _bound(schema, "minLength", (1, LONGEST_TEXT), 1)
        most = _bound(schema, "maxLength", (1, LONGEST_TEXT), max(least, DEFAULT_LONGEST))
    else:
        least = _bound(schema, "minimum", (-LARGEST, LARGEST), -LARGEST)
        most = _bound(schema, "maximum", (-LARGEST, LARGEST), LARGEST)
    if least > most:
        raise ExtraFieldsError("its lower bound must not be above its upper bound")
    return least, most


def _options(field_type: str, enum: object) -> tuple[str | int, ...]:
    error = ExtraFieldsError(f"its enum must be 1 to {MOST_OPTIONS} different values of its type")
    if not _is_unique_list(enum) or not 0 < len(enum) <= MOST_OPTIONS:
        raise error
    if field_type == "integer":
        numbers = [_whole_number(each) for each in enum]
        if any(each is None for each in numbers):
            raise error
        return tuple(each for each in numbers if each is not None)
    if not all(map(_is_title, enum)):
        raise ExtraFieldsError(f"its enum must be texts of 1 to {LONGEST_TITLE} visible characters in NFC")
    return tuple(enum)


def _bound(schema: dict[str, Any], name: str, limits: tuple[int, int], default: int) -> int:
    if name not in schema:
        return default
    bound = _whole_number(schema[name])
    if bound is None or not limits[0] <= bound <= limits[1]:
        raise ExtraFieldsError(f"{name} must be a whole number from {limits[0]} to {limits[1]}")
    return bound


def _whole_number(value: object) -> int | None:
    """Return a parsed JSON number as an integer; None if it is not an integer, or too large to be exact."""
    if not isinstance(value, float) or not value.is_integer() or abs(value) > LARGEST:
        return None
    return int(value)


def _is_unique_list(value: object) -> TypeGuard[list[Any]]:
    """Return whether a value is a list without duplicates."""
    return isinstance(value, list) and len({(type(each), str(each)) for each in value}) == len(value)


def _is_by_language(value: object) -> bool:
    return isinstance(value, dict) and value.keys() <= set(LANGUAGES)


def _is_title(value: object) -> bool:
    """Return whether a value is a valid title: a text on one line that normalisation does not change."""
    if not isinstance(value, str) or not value:
        return False
    try:
        return line(value, LONGEST_TITLE) == value
    except PydanticCustomError:
        return False
