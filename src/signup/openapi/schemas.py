"""JSON Schemas of the models, and their examples."""

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from signup.openapi.responses import Json


class _Untitled(GenerateJsonSchema):
    """Generates schemas without titles, which would only repeat the names of fields."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - an override
        return False


def schemas(model: type[BaseModel], mode: JsonSchemaMode) -> Json:
    """Return the JSON Schemas of a model and of the models that it refers to."""
    reference = "#/components/schemas/{model}"
    schema = model.model_json_schema(mode=mode, ref_template=reference, schema_generator=_Untitled)
    return {**schema.pop("$defs", {}), model.__name__: schema}


def example(model: type[BaseModel]) -> Json:
    """Return an example object, built from the examples or defaults of a model's fields."""
    fields = model.model_fields.items()
    return {each.alias or name: each.examples[0] if each.examples else each.get_default() for name, each in fields}
