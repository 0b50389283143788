"""The reference page of a stored result: every entry of result.json, from the model that writes and reads it."""

from __future__ import annotations

from pydantic import BaseModel

from contsym.models.encoders.declared import PoolingFacts
from contsym.reference.json_schema import Schema, field_docs, type_words
from contsym.reference.markdown import code, page, prose, table
from contsym.results import schema, schema_training


def result_page() -> str:
    """A table of the result, and one of each model in it."""
    whole = schema.SeedResult.model_json_schema()
    parts = [_fields(whole, schema.SeedResult)]
    for name, definition in whole["$defs"].items():
        if "properties" in definition:
            parts += [
                f"## {name}",
                prose(definition.get("description", "")),
                _fields(definition, _model(name)),
            ]
    return page(
        "The stored result",
        "After this page you can read a stored `result.json` in any language. Every entry is always there; `null` means that "
        "it was not measured. [result.schema.json](../result.schema.json) has the same as a JSON Schema.",
        *filter(None, parts),
    )


def _model(name: str) -> type[BaseModel]:
    found = (
        getattr(schema, name, None)
        or getattr(schema_training, name, None)
        or {"PoolingFacts": PoolingFacts}[name]
    )
    assert issubclass(found, BaseModel)
    return found


def _fields(definition: Schema, model: type[BaseModel]) -> str:
    said = field_docs(model)
    rows = [
        [code(name), type_words(field), prose(said.get(name, field.get("description", "")))]
        for name, field in definition["properties"].items()
    ]
    return table(["entry", "value", "what it is"], rows)
