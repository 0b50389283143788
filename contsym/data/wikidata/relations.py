"""The registry of relations: which properties are symmetric or antisymmetric, and how they are said."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import get_args

from contsym.checked import read_toml
from contsym.data.schema import Kind
from contsym.errors import DataError, nearest

MIXED_DOMAIN = "mixed"
"""The domain of a relation whose things are of many types: it has no distractors."""
ANY_FAMILY = "any"
"""The family of a relation that nearly every other says something about (`different from`)."""


@dataclass(frozen=True)
class Relation:
    """One entry of relations.toml."""

    id: str
    name: str
    kind: Kind
    phrasings: tuple[str, ...]
    domain: str = MIXED_DOMAIN
    """The type of its things: a distractor is of the same."""
    family: str = ANY_FAMILY
    """Relations of one family say something about one another; a distractor is of another."""

    def sentence(self, phrasing: int, subject: str, object_: str) -> str:
        x_first, (head, middle, tail) = template(self.phrasings[phrasing])
        first, second = (subject, object_) if x_first else (object_, subject)
        return f"{head}{first}{middle}{second}{tail}"


@dataclass(frozen=True)
class Registry:
    """The relations of one file, and the properties it refuses with the reason."""

    version: int
    relations: Mapping[str, Relation]
    refused: Mapping[str, str]
    names: Mapping[str, str]
    """Name by property id, of the refused ones too."""
    sha256: str
    """Of the file's text."""


def template(phrasing: str) -> tuple[bool, tuple[str, str, str]]:
    """Whether [X] comes first, and the text before, between and after [X] and [Y].

    >>> template("[Y] is a child of [X]")
    (False, ('', ' is a child of ', ''))
    """
    head, first, middle, _, tail = re.split(r"(\[[XY]\])", phrasing)
    return first == "[X]", (head, middle, tail)


@cache
def registry(path: Path | None = None) -> Registry:
    """The registry that comes with contsym, or the one in `path`.

    Raises DataError, with file and line, for a file that is not such a registry.
    """
    where = path or resources.files("contsym.data.wikidata").joinpath("relations.toml")
    try:
        text = where.read_text("utf-8-sig")
    except OSError as error:
        raise DataError(f"{where}: cannot be read ({error.strerror}); expected relations in TOML") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{where}:{line}: not UTF-8; convert the file to UTF-8") from None
    return parse(text, str(where))


def parse(text: str, where: str) -> Registry:
    """A registry out of its TOML text; `where` names the file in errors."""
    found = read_toml(text, where, DataError)
    for key in found:
        if key not in ("registry_version", "relations", "refused"):
            raise DataError(
                f"{where}:{_line(text, key)}: {key!r} is unknown; expected registry_version, "
                "[relations.P…] and [refused.P…]"
            )
    version = found.get("registry_version")
    if type(version) is not int:
        raise DataError(f"{where}:1: registry_version is missing; expected a number, as registry_version = 1")
    relations = {key: _relation(key, entry, text, where) for key, entry in _tables(found, "relations", where)}
    if not relations:
        raise DataError(f"{where}:1: no relations; expected entries such as [relations.P26]")
    _check_distinct(relations, text, where)
    refused, names = {}, {key: relation.name for key, relation in relations.items()}
    for key, entry in _tables(found, "refused", where):
        if _MISSPELT_ID.match(key):
            line = _line(text, f"refused.{key}")
            raise DataError(f"{where}:{line}: {key}: no property id; expected P and a number, as in P17")
        if not isinstance(entry, dict) or set(entry) != {"name", "reason"}:
            line = _line(text, f"refused.{key}")
            raise DataError(f"{where}:{line}: refused.{key}: expected name and reason, nothing else")
        if key in relations:
            raise DataError(f"{where}:{_line(text, f'refused.{key}')}: {key} is under [relations] as well")
        refused[key], names[key] = str(entry["reason"]), str(entry["name"])
    return Registry(version, relations, refused, names, hashlib.sha256(text.encode()).hexdigest())


def _check_distinct(relations: Mapping[str, Relation], text: str, where: str) -> None:
    """Refuse a phrasing that two relations have, also with [X] and [Y] the other way round.

    A relation and its inverse are apt to: "[Y] is the capital of [X]" and "[X] is the capital of
    [Y]". With one in training and the other in test, a relation never seen would have been read.
    """
    owners: dict[tuple[str, str, str], Relation] = {}
    for relation in relations.values():
        for phrasing in relation.phrasings:
            other = owners.setdefault(template(phrasing)[1], relation)
            if other is not relation:
                line = _line(text, f"relations.{relation.id}", phrasing)
                how = "" if phrasing in other.phrasings else ", with [X] and [Y] the other way round"
                raise DataError(
                    f"{where}:{line}: {phrasing!r} is a phrasing of {other.id} already{how}; say it otherwise"
                )


FIELDS = ("name", "kind", "phrasings", "kind_source", "domain", "family", "notes")
REQUIRED = FIELDS[:4]
_MISSPELT_ID = re.compile(r"[Pp]\d(?<!P[1-9])|P[1-9]\d*\D")
"""A key that sets out to be a property id and is none would silently never be found in any data."""


def _tables(found: Mapping[str, object], name: str, where: str):
    table = found.get(name, {})
    if not isinstance(table, dict):
        raise DataError(f"{where}:1: {name} is no table; expected entries such as [{name}.P26]")
    return table.items()


def _relation(key: str, entry: object, text: str, where: str) -> Relation:
    def fail(said: str, *after: str) -> DataError:
        return DataError(f"{where}:{_line(text, f'relations.{key}', *after)}: {key}: {said}")

    if _MISSPELT_ID.match(key):
        raise fail("no property id; expected P and a number as in P26, or a name that does not begin so")
    if not isinstance(entry, dict):
        raise fail(f"expected a table with {', '.join(REQUIRED)}")
    for field in entry:
        if field not in FIELDS:
            raise fail(f"field {field!r} is unknown; {nearest(field, FIELDS)}", field)
    for field in REQUIRED:
        if field not in entry:
            raise fail(f"field {field!r} is missing")
    for field in set(entry) - {"phrasings"}:
        if not isinstance(entry[field], str):
            raise fail(f"{field} is {entry[field]!r}; expected text", field)
    kinds = get_args(Kind)
    if entry["kind"] not in kinds:
        raise fail(f"kind {entry['kind']!r} is unknown; {nearest(entry['kind'], kinds)}", "kind")
    phrasings = entry["phrasings"]
    if not isinstance(phrasings, list) or not phrasings or not all(isinstance(p, str) for p in phrasings):
        raise fail("phrasings: expected a list of sentences with [X] and [Y]", "phrasings")
    for phrasing in phrasings:
        if sorted(re.findall(r"\[[XY]\]", phrasing)) != ["[X]", "[Y]"]:
            raise fail(f"phrasing {phrasing!r}: expected [X] once and [Y] once", phrasing)
    if len(set(phrasings)) < len(phrasings):
        raise fail("a phrasing is given twice", "phrasings")
    given = {field: entry[field] for field in ("domain", "family") if field in entry}
    return Relation(key, entry["name"], entry["kind"], tuple(phrasings), **given)


def _line(text: str, *path: str) -> int:
    """The line of the first place that names each of `path` in turn; TOML keeps no line numbers.

    The first is the key of a table, or the name of one of all entries; text of comments does not count.
    """
    head, *rest = path
    # A whole name: P3 is not in P36, and `kind` is not in `kind_source`.
    place = rf"^[ \t]*\[?[ \t]*{re.escape(head)}(?![\w-])"
    found = re.search(place, text, re.MULTILINE)
    position = found.end() if found else 0
    for name in rest:
        whole = rf"(?<![\w-]){re.escape(name)}(?![\w-])" if re.fullmatch(r"[\w-]+", name) else re.escape(name)
        found = re.compile(whole).search(text, position)
        position = found.start() if found else position
    return text.count("\n", 0, position) + 1
