"""CSV and TSV files of a Hub dataset, read as a local copy of them is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contsym.data.readers import raw_rows
from contsym.data.schema import Dataset


@dataclass(frozen=True)
class Split:
    """A split of a dataset."""

    rows: Dataset
    features: Any
    """As the dataset declares them, with the names of classes."""


def read_tables(folder: Path, options: Mapping[str, Any]) -> dict[str, Split] | None:
    """The splits of a dataset of CSV and TSV files, read as those of a local copy are; None for other files.

    pandas, which `datasets` reads them by, takes the text NA for a missing one, and a bare quotation mark in a table with
    tabs for one that opens.
    """
    import datasets

    builder = datasets.load_dataset_builder(str(folder), **options)
    files = {str(name): list(map(str, each)) for name, each in (builder.config.data_files or {}).items()}
    if not files or {Path(path).suffix.lower() for each in files.values() for path in each} - {
        ".csv",
        ".tsv",
    }:
        return None
    found = {}
    for name, paths in files.items():
        rows = datasets.Dataset.from_generator(_table_rows, gen_kwargs={"paths": paths})
        found[name] = Split(rows, builder.info.features or rows.features)
    return found


def _table_rows(paths: Sequence[str]) -> Iterator[dict[str, object]]:
    for path in paths:
        for _, row in raw_rows(Path(path)):
            yield row
