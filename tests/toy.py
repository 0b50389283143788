"""The toy tasks of the conformance suite, by the name that tests know them by."""

from collections.abc import Iterable, Mapping

from datasets import Dataset

from contsym.data.schema import check_row, table
from contsym.testing.toy import NAMES, PHRASES, nli_rows, relation_rows, write_task

__all__ = ["NAMES", "PHRASES", "both_tasks", "nli_rows", "relation_rows", "table_from_rows", "write_task"]


def table_from_rows(rows: Iterable[Mapping[str, object]], source: str = "rows") -> Dataset:
    """Rows checked and stored; `source` names them in errors."""
    return table(check_row(row, f"{source}:{number}") for number, row in enumerate(rows, 1))


def both_tasks(folder) -> dict[str, str]:
    """Folders with 32 training pairs of relations and 30 of NLI, by task."""
    return {
        "wikidata": str(write_task(folder / "wikidata", relation_rows(), 32)),
        "mnli": str(write_task(folder / "mnli", nli_rows(), 30)),
    }
