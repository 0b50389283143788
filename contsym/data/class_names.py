"""The class names behind numeric labels, as a file, a card or the Hub gives them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from contsym.data.part_columns import PART_COLUMNS
from contsym.data.schema import Row
from contsym.errors import DataError

LABEL_COLUMNS = ("label", "gold_label", "entailment_label", "entailment_judgment", "gold")
TEXT_COLUMNS = ("label_text", "label_name")
"""Columns with the class name of the number in the same row."""
CARD, INFO, INFOS = "README.md", "dataset_info.json", "dataset_infos.json"
METADATA = (INFO, INFOS, "dataset_dict.json", "state.json")
"""JSON files of the `datasets` library that hold no pairs."""

ClassNames = Mapping[str, Sequence[str]]
"""Class names in order of their numbers, by column."""
Features = tuple[str, Mapping[str, Any]]
"""A configuration and its features by column."""


def as_number(label: object) -> int | None:
    """A label as class number, also from text or a whole float; None for any other label.

    >>> as_number("2"), as_number(1.0), as_number("neutral")
    (2, 1, None)
    """
    if not isinstance(label, str):
        if isinstance(label, bool):
            return None
        if isinstance(label, int):
            return label
        if isinstance(label, float):
            return int(label) if label.is_integer() else None
    text = str(label).strip()
    if not text[-1:].isdecimal():  # most labels are words
        return None
    text = text.removesuffix(".0")
    return int(text) if text.removeprefix("-").isdecimal() and len(text) < 10 else None


def of_features(features: Mapping[str, Any], label_column: str | None = None) -> ClassNames:
    """Class names by column, from the features of a dataset: objects of `datasets`, or their JSON.

    Those of the column that a task names for its labels are under `label`.
    """
    by_column: dict[str, Sequence[str]] = {}
    # As in `usual_names`, a name in another case or with spaces around it stands for the usual one.
    usual = {name.strip().lower(): feature for name, feature in features.items()}
    for column in (*LABEL_COLUMNS, *PART_COLUMNS):
        asked = label_column if label_column and column == "label" else column
        feature = features.get(asked, usual.get(asked.lower()))
        names = feature.get("names") if isinstance(feature, Mapping) else getattr(feature, "names", None)
        if isinstance(names, Mapping):
            names = [names[key] for key in sorted(names, key=int)]
        if isinstance(names, list | tuple) and names:
            by_column[column] = tuple(map(str, names))
    return by_column


def with_class_names(row: Mapping[str, object], find_names: Callable[[], ClassNames], where: str) -> Row:
    """The row with class names in place of class numbers; `find_names` is called only for a row with a number.

    A number below 0 means that there is no label, and stays. A number that stands for a part is named too. Raises
    DataError for a class number without a name.
    """
    changed = dict(row)
    for column in LABEL_COLUMNS:
        label = row.get(column)
        number = None if label is None else as_number(label)
        if number is None or number < 0:
            continue
        names = find_names()
        if column in names:
            if number >= len(names[column]):
                listed = ", ".join(f"{i} {name}" for i, name in enumerate(names[column]))
                raise DataError(f"{where}: {column} {number} has no name; the data name {listed}")
            changed[column] = names[column][number]
        elif words := [row[name] for name in (*TEXT_COLUMNS, *LABEL_COLUMNS) if _is_word(row.get(name))]:
            changed[column] = words[0]
    for column in () if PART_COLUMNS.isdisjoint(row) else PART_COLUMNS & row.keys():
        number = as_number(row[column])
        if number is not None and 0 <= number < len(parts := find_names().get(column, ())):
            changed[column] = parts[number]
    return changed


def _is_word(label: object) -> bool:
    return isinstance(label, str) and bool(label.strip()) and as_number(label) is None


def of_file(
    path: Path, metadata: Mapping[bytes, bytes] | None, label_column: str | None = None
) -> ClassNames:
    """The class names of a file: in its Parquet metadata as `datasets` writes it, or in a card beside or above it."""
    with suppress(KeyError, TypeError, ValueError, AttributeError):
        if names := of_features(
            json.loads((metadata or {})[b"huggingface"])["info"]["features"], label_column
        ):
            return names
    # A card stands beside the data or, as on the Hub, above their folder.
    by_folder = (_beside(folder, path, label_column) for folder in (path.parent, path.parent.parent))
    return next(filter(None, by_folder), {})


def _beside(folder: Path, path: Path, label_column: str | None) -> ClassNames:
    """The class names in a card or description in `folder` for the file `path`.

    Raises DataError where several configurations number their classes differently, and none is named like a
    folder of the path.
    """
    for source, read in ((CARD, _of_card), (INFOS, _of_json), (INFO, _of_json)):
        by_config = _by_config(folder / source, read, label_column)
        chosen = next((by_config[name] for name in reversed(path.parent.parts) if name in by_config), None)
        if chosen is None and len({tuple(sorted(names.items())) for names in by_config.values()}) > 1:
            orders = ((name, next(iter(names.values()))) for name, names in by_config.items())
            listed = "; ".join(f"{name}: {', '.join(order)}" for name, order in orders)
            raise DataError(
                f"{folder / source}: the configurations number their classes differently ({listed}); keep the one "
                f"of {path.name}"
            )
        if by_config:
            return chosen or next(iter(by_config.values()))
    return {}


def _by_config(
    path: Path, read: Callable[[Path], Iterable[Features]], label_column: str | None
) -> dict[str, ClassNames]:
    if not path.is_file():
        return {}
    try:
        return {
            config: names for config, features in read(path) if (names := of_features(features, label_column))
        }
    except Exception:  # also any error of YAML: most files called README.md describe no dataset
        return {}


def _of_card(path: Path) -> Iterable[Features]:
    from huggingface_hub.repocard import metadata_load

    described = (metadata_load(path) or {})["dataset_info"]
    for each in described if isinstance(described, list) else [described]:
        features = {
            feature["name"]: feature["dtype"]["class_label"]
            for feature in each["features"]
            if isinstance(feature.get("dtype"), dict) and "class_label" in feature["dtype"]
        }
        yield str(each.get("config_name", "default")), features


def _of_json(path: Path) -> Iterable[Features]:
    content = json.loads(path.read_text("utf-8-sig"))
    infos = content if path.name == INFOS else {"default": content}
    return [(name, info["features"]) for name, info in infos.items()]
