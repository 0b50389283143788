"""Entities in Wikidata's JSON: the dump with one entity per line, and small files of any layout."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contsym.data.json_values import json_values, reason_of
from contsym.data.text_files import bytes_lines, chunks
from contsym.data.wikidata.relations import Registry
from contsym.errors import DataError

MAX_DOCUMENT = 256 << 20
"""Most bytes of a file without one entity per line, which is held in memory."""
_PREFIX = {"item": "Q", "property": "P", "lexeme": "L"}
"""Letter of an id by entity type; dumps before 2016 have only the number."""
_LANGUAGES = ("en", "mul")
"""Languages of a name. Wikidata stores a name that is the same in all languages under `mul` only."""

_WRONG = (TypeError, KeyError, AttributeError, ValueError)

Entity = tuple[str, str, list[tuple[str, str]]]
"""Id, English name or '', and (property, id of the value) for each statement of a registered relation."""


@dataclass
class DumpCounts:
    n_lines: int = 0
    n_bad: int = 0
    first_bad: str = ""

    def bad(self, where: str, reason: str) -> None:
        self.n_bad += 1
        self.first_bad = self.first_bad or (
            f"{where}: not an entity of a Wikidata dump ({reason}); "
            "expected one JSON object per line with id, labels and claims"
        )


def read_dump(path: Path, registry: Registry, counts: DumpCounts) -> Iterator[Entity]:
    """The entities of a file, and the counts of its lines.

    The dump is one array with an entity per line. If no line is an entity, the file is one JSON text: from
    Special:EntityData, an array on one line, or JSON over several lines.
    """
    marks = [f'"{key}"'.encode() for key in registry.relations]
    for number, raw in enumerate(bytes_lines(path), 1):
        # The brackets of the array may share a line with its first and last entity.
        line = raw.strip().removeprefix(b"\xef\xbb\xbf").lstrip(b"[, \t").rstrip(b"], \t")
        if not line:
            continue
        counts.n_lines += 1
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            counts.bad(f"{path}:{number}", f"not JSON: {reason_of(error)}")
            continue
        try:
            # Most entities have no registered property, and their claims are long.
            entity = _entity(value, registry if any(mark in line for mark in marks) else None)
        except _WRONG as error:
            counts.bad(f"{path}:{number}", _reason(error))
            continue
        if entity:
            yield entity
    if counts.n_lines and counts.n_bad == counts.n_lines:
        yield from _document(path, registry, counts)


def _document(path: Path, registry: Registry, counts: DumpCounts) -> Iterator[Entity]:
    """The entities of a file that is one JSON text; if it is not, the counts of its lines stay as they are."""
    content = bytearray()
    for chunk in chunks(path):
        content += chunk
        if len(content) > MAX_DOCUMENT:
            return
    text = content.decode("utf-8-sig", "replace")
    try:
        values = [each for line, value in json_values(text) for each in _unpacked(path, line, value)]
    except (ValueError, RecursionError):
        return
    counts.n_lines, counts.n_bad, counts.first_bad = 0, 0, ""
    entities = []
    for line, key, value in values:
        counts.n_lines += 1
        try:
            entity = _entity(value, registry, key)
        except _WRONG as error:
            counts.bad(f"{path}:{line}", _reason(error))
            continue
        entities += [entity] if entity else []
        # The key of a redirect keeps the name too, since other entities may still use that id.
        if entity and key and key != entity[0]:
            entities.append((key, entity[1], []))
    yield from entities


def _unpacked(path: Path, line: int, value: Any) -> Iterator[tuple[int, str, Any]]:
    if isinstance(value, dict) and isinstance(value.get("results"), dict) and "head" in value:
        raise DataError(f"{path}:{line}: a SPARQL result as JSON; expected CSV (.csv), or a dump of entities")
    if isinstance(value, dict) and _is_flat(value):
        raise DataError(
            f"{path}:{line}: rows of texts, as of a SPARQL result as JSON; expected CSV (.csv), or a dump"
        )
    entities = value.get("entities") if isinstance(value, dict) else None
    if isinstance(entities, dict):
        yield from ((line, key, entity) for key, entity in entities.items())
    elif isinstance(entities, list):
        yield from ((line, "", entity) for entity in entities)
    else:
        yield line, "", value


def _is_flat(value: Mapping[str, Any]) -> bool:
    has_texts_alone = bool(value) and all(isinstance(each, str) for each in value.values())
    return has_texts_alone and "id" not in value and "redirect" not in value


def _entity(value: Any, registry: Registry | None, key: str = "") -> Entity | None:
    """The entity in a JSON value; None for a redirect and a missing page.

    Raises one of _WRONG for a value that is not an entity.
    """
    if not isinstance(value, dict):
        raise TypeError(f"a {type(value).__name__}")
    if "redirect" in value or "missing" in value:
        return None
    entity = clean(value["id"] if "id" in value or not key else key)
    # Parts of an entity have an id too, and may be alone on a line.
    if "mainsnak" in value or "entity-type" in value:
        raise TypeError("a part of an entity")
    labels = _map(value, "labels")
    name = next((clean(_object(labels, each)["value"]) for each in _LANGUAGES if labels.get(each)), "")
    claims = _map(value, "claims")
    return entity, name, list(_statements(claims, registry)) if registry else []


def _map(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A map of an entity; PHP writes an empty map as `[]`."""
    return {} if value.get(name) in (None, []) else _object(value, name)


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The JSON object under a name. Exports that are shorter than the dump have a text or a list in its place."""
    found = value[name]
    if not isinstance(found, dict):
        raise TypeError(f"{name} is a {type(found).__name__}")
    return found


def _statements(claims: Mapping[str, Any], registry: Registry) -> Iterator[tuple[str, str]]:
    for property_, statements in claims.items():
        if property_ not in registry.relations:
            continue
        for statement in statements:
            if not isinstance(statement, dict):
                raise TypeError(f"a statement of {property_} is a {type(statement).__name__}")
            snak = statement["mainsnak"]
            # Deprecated statements are false; "some value" and "no value" have no entity.
            if statement.get("rank") == "deprecated" or snak.get("snaktype") != "value":
                continue
            if value := _id_of(snak["datavalue"]["value"]):
                yield property_, value


def _id_of(value: object) -> str:
    """The id of a value that is an entity; empty for any other value."""
    if not isinstance(value, dict):
        return ""
    if value.get("id"):
        return clean(value["id"])
    prefix = _PREFIX.get(value.get("entity-type", ""))
    return f"{prefix}{int(value['numeric-id'])}" if prefix and "numeric-id" in value else ""


def clean(text: object) -> str:
    return " ".join(str(text).split())


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
