"""Fields of pydantic models in words, from their JSON Schema."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

HUGE = 1e12
"""A limit from here on guards the reader of a file and says nothing to a person."""

Schema = Mapping[str, Any]

PLAIN = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
}
LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
}


def type_words(schema: Schema) -> str:
    """The values that a schema allows.

    >>> type_words({"type": "number", "exclusiveMinimum": 0, "maximum": 1})
    'number above 0, at most 1'
    >>> type_words({"type": "array", "items": {"enum": ["pair", "single"]}})
    'list of (`pair` or `single`)'
    """
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return "any JSON" if name == "JsonValue" else f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(type_words(each) for each in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        values = [schema["const"]] if "const" in schema else schema["enum"]
        return " or ".join(f"`{value}`" for value in values)
    if schema.get("type") == "array":
        items = schema.get("prefixItems") or [schema.get("items", {})]
        words = ", ".join(dict.fromkeys(map(type_words, items)))
        return f"list of ({words})" if " or " in words or "," in words else f"list of {words}"
    if schema.get("type") == "object":
        by_pattern = list(schema.get("patternProperties", {}).values())
        inner = (by_pattern or [schema.get("additionalProperties")])[0]
        return f"object of {type_words(inner)} by name" if isinstance(inner, Mapping) else "object"
    limits = [words.format(schema[key]) for key, words in LIMITS.items() if abs(schema.get(key, HUGE)) < HUGE]
    return " ".join(filter(None, (PLAIN.get(schema.get("type", ""), "any JSON"), ", ".join(limits))))


def default_words(schema: Schema) -> str:
    """The default of a field as it is typed after `--set NAME=`; empty where there is none.

    >>> default_words({"default": True}), default_words({"default": None}), default_words({"default": 0.5})
    ('`true`', '', '`0.5`')
    """
    default = schema.get("default")
    if default is None:
        return ""
    return f"`{default}`" if isinstance(default, str) else f"`{json.dumps(default)}`"


def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """What stands below the fields of a model, its bases included: the text in quotes after each field."""
    found: dict[str, str] = {}
    for base in reversed(
        [each for each in model.__mro__ if issubclass(each, BaseModel) and each is not BaseModel]
    ):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(definition, ast.ClassDef)
        for field, after in zip(definition.body, definition.body[1:], strict=False):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                continue
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                found[field.target.id] = inspect.cleandoc(str(after.value.value))
    return found
