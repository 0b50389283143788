"""How `datasets` is to read the CSV and TSV files of a Hub dataset, so that rows and texts are those of a local copy."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_TABLE = re.compile(r"\.[ct]sv(\.\w+)?$")
"""The end of the name of a table, which may be compressed."""


def table_options(folder: Path, names: Iterable[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Further options of `datasets.load_dataset` for a folder with files of these names; none without tables.

    pandas, which reads them, would take the texts NA and None for missing cells, and a bare quotation mark in a table with
    tabs for one that opens, as MultiNLI and GLUE have them. What the dataset's card says stays.
    """
    if not any(_TABLE.search(name) for name in names):
        return {}
    import datasets

    builder = datasets.load_dataset_builder(str(folder), **options)
    config: Any = builder.config
    if not hasattr(config, "keep_default_na"):
        return {}
    found: dict[str, Any] = {}
    if config.keep_default_na and config.na_values is None:
        found = {"keep_default_na": False, "na_values": [""]}
    files = [str(path) for paths in (config.data_files or {}).values() for path in paths]
    if "\t" in (config.delimiter, config.sep) and config.quoting == csv.QUOTE_MINIMAL:
        found |= {"quoting": csv.QUOTE_NONE} if _has_bare_marks(files, config.encoding) else {}
    return found


def _has_bare_marks(paths: Iterable[str], encoding: str | None) -> bool:
    """Whether cells of tables with tabs begin with a quotation mark and end without one, where no cell has a line break."""
    is_bare = False
    for path in paths:
        if Path(path).suffix not in (".csv", ".tsv"):
            return False  # compressed
        with Path(path).open(encoding=encoding or "utf-8", errors="replace", newline="") as file:
            n_tabs = None
            for line in file:
                n_tabs = line.count("\t") if n_tabs is None else n_tabs
                if line.count("\t") != n_tabs:
                    return False
                if '"' in line:
                    cells = line.rstrip("\r\n").split("\t")
                    is_bare |= any(c.startswith('"') and (len(c) == 1 or not c.endswith('"')) for c in cells)
    return is_bare
