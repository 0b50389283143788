"""The registry of relations: symmetric and antisymmetric properties, and their phrasings."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from contsym.checked import Closed, Several, different, expect, line_of, read_model
from contsym.data.schema import Kind
from contsym.errors import DataError

MIXED_DOMAIN = "mixed"
"""Domain of a relation between things of many types, which has no distractors."""
ANY_FAMILY = "any"
"""Family of a relation that bears on nearly every other (`different from`)."""

_MISSPELT_ID = re.compile(r"[Pp]\d(?<!P[1-9])|P[1-9]\d*\D")
"""Such a key resembles a property id; in no data would it match anything."""


def _checked_id(key: str) -> str:
    message = "not a property id; expected P and a number as in P26, or a name that does not begin so"
    expect(not _MISSPELT_ID.match(key), message)
    return key


def _checked_phrasing(phrasing: str) -> str:
    expect(sorted(re.findall(r"\[[XY]\]", phrasing)) == ["[X]", "[Y]"], "[X] once and [Y] once")
    return phrasing


def _checked_name(pattern: str) -> str:
    try:
        n_groups = re.compile(pattern).groups
    except re.error:
        n_groups = 0
    expect(not pattern or n_groups == 1, "a regular expression with one group in parentheses")
    return pattern


Id = Annotated[str, AfterValidator(_checked_id)]
Phrasing = Annotated[str, AfterValidator(_checked_phrasing)]


class _Entry(Closed):
    name: str
    kind: Kind
    phrasings: Annotated[Several[Phrasing], different("different sentences with [X] and [Y]")]
    kind_source: str
    domain: str = MIXED_DOMAIN
    """Type of the entities; a distractor is of the same domain."""
    family: str = ANY_FAMILY
    """Relations of one family bear on one another; a distractor is of another family."""
    notes: str = ""


class Relation(_Entry):
    id: str

    def sentence(self, phrasing: int, subject: str, object_: str) -> str:
        x_first, (head, middle, tail) = template(self.phrasings[phrasing])
        first, second = (subject, object_) if x_first else (object_, subject)
        return f"{head}{first}{middle}{second}{tail}"


class _Refused(Closed):
    name: str
    reason: str


class _File(Closed):
    registry_version: int = Field(description="a number, as registry_version = 1")
    relations: dict[Id, _Entry] = Field(min_length=1, description="entries such as [relations.P26]")
    entity_name: Annotated[str, AfterValidator(_checked_name)] = ""
    refused: dict[Id, _Refused] = Field(default={}, description="entries such as [refused.P17]")


@dataclass(frozen=True)
class Registry:
    """The relations of one file, and the reasons for the properties that it refuses."""

    version: int
    relations: Mapping[str, Relation]
    refused: Mapping[str, str]
    names: Mapping[str, str]
    """Name by property id, refused ones included."""
    sha256: str
    entity_name: str = ""
    r"""A regular expression whose group is the readable part of an entity, with _ for spaces, as `(.+)\.n\.[0-9]+`; empty:
    entities are read as they are."""

    def why_not(self, property_: str) -> str:
        """Why a property is not used."""
        reason = self.refused.get(property_)
        return f"{self.names[property_]}: {reason}" if reason else "not in the registry"


def template(phrasing: str) -> tuple[bool, tuple[str, str, str]]:
    """Whether [X] comes first, and the text before, between and after [X] and [Y].

    >>> template("[Y] is a child of [X]")
    (False, ('', ' is a child of ', ''))
    """
    head, first, middle, _, tail = re.split(r"(\[[XY]\])", phrasing)
    return first == "[X]", (head, middle, tail)


OWN: Mapping[str, str] = {"wikidata": "relations.toml", "wordnet": "wordnet.toml"}
"""The files of the registries that come with contsym, by name."""


@cache
def registry(path: Path | None = None) -> Registry:
    """The registry of Wikidata's relations, or the one in `path`, which may also be a name in OWN.

    Raises DataError, with file and line, for a file that is not a registry.
    """
    name = "wikidata" if path is None else str(path)
    own = resources.files("contsym.data.wikidata")
    where = own.joinpath(OWN[name]) if path is None or name in OWN else path
    try:
        text = where.read_text("utf-8-sig")
    except OSError as error:
        raise DataError(f"{where}: cannot be read ({error.strerror}); expected relations in TOML") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{where}:{line}: not UTF-8; convert the file to UTF-8") from None
    return parse(text, str(where))


def parse(text: str, where: str) -> Registry:
    """The registry in a TOML text; `where` names the file in errors."""
    file = read_model(text, _File, where, DataError)
    relations = {key: Relation(id=key, **entry.model_dump()) for key, entry in file.relations.items()}
    _check_distinct(relations, text, where)
    for key in file.refused:
        if key in relations:
            line = line_of(text, "refused", key)
            raise DataError(f"{where}:{line}: {key} is under [relations] as well")
    return Registry(
        file.registry_version,
        relations,
        {key: entry.reason for key, entry in file.refused.items()},
        {key: entry.name for entries in (file.relations, file.refused) for key, entry in entries.items()},
        hashlib.sha256(text.encode()).hexdigest(),
        file.entity_name,
    )


def _check_distinct(relations: Mapping[str, Relation], text: str, where: str) -> None:
    """Raise DataError for a phrasing that two relations share, also with [X] and [Y] the other way round.

    A relation and its inverse may share one: "[Y] is the capital of [X]" and "[X] is the capital of [Y]". With one in
    training and the other in test, the wording of an unseen relation would be in training.
    """
    owners: dict[tuple[str, str, str], Relation] = {}
    for relation in relations.values():
        for phrasing in relation.phrasings:
            other = owners.setdefault(template(phrasing)[1], relation)
            if other is not relation:
                place = f"{where}:{line_of(text, 'relations', relation.id, phrasing)}"
                how = "" if phrasing in other.phrasings else ", with [X] and [Y] the other way round"
                problem = f"{phrasing!r} is already a phrasing of {other.id}{how}"
                raise DataError(f"{place}: {problem}; use another wording")
