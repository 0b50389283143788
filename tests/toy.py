"""The toy tasks of the conformance suite, by the name that tests know them by."""

from contsym.toy import NAMES, PHRASES, nli_rows, relation_rows, write_task

__all__ = ["NAMES", "PHRASES", "nli_rows", "relation_rows", "write_task"]
