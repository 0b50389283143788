"""The toy tasks of the conformance suite, by the name that tests know them by."""

from contsym.testing.toy import NAMES, PHRASES, nli_rows, relation_rows, write_task

__all__ = ["NAMES", "PHRASES", "both_tasks", "nli_rows", "relation_rows", "write_task"]


def both_tasks(folder) -> dict[str, str]:
    """Folders with 32 training pairs of relations and 30 of NLI, by task."""
    return {
        "wikidata": str(write_task(folder / "wikidata", relation_rows(), 32)),
        "mnli": str(write_task(folder / "mnli", nli_rows(), 30)),
    }
