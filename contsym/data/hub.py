"""A task's pairs from the Hugging Face Hub: at one pinned commit, and from the cache without a network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.data.readers import rename
from contsym.data.schema import Form, rows_of
from contsym.data.tasks import Task
from contsym.errors import ContsymError, DataError

if TYPE_CHECKING:
    from datasets import Dataset

Placed = tuple[str, dict[str, object]]

_DATA_FILES = [
    f"*.{suffix}" for suffix in ("parquet", "json", "jsonl", "csv", "tsv", "txt", "arrow", "gz", "zst")
]
_PATTERNS = [*_DATA_FILES, "README.md"]
"""What is fetched: data and the card, which says what is which part; never code."""


@dataclass(frozen=True)
class Hub:
    """One or more Hub data sets, each read at the commit that its revision stood for."""

    repositories: tuple[str, ...]
    """More than one where a form is a data set of its own; their parts are chained."""
    revision: str | None
    is_in_form: bool
    """The data set is in the form asked for as it comes."""
    stand_in: bool = False

    @property
    def name(self) -> str:
        """With the commit once it has been read, with the revision asked for before."""
        return "hub:" + "+".join(f"{each}@{snapshot(each, self.revision).name}" for each in self.repositories)

    def read(self, task: Task, form: Form) -> tuple[Iterator[Placed], Iterator[Placed] | None]:
        loaded = [(each, _parts(each, self.revision)) for each in self.repositories]
        for repository, parts in loaded:
            if not _names(parts, task.train_names):
                raise DataError(f"hub:{repository} has no 'train' split; it has {', '.join(parts)}")
        has_test = all(_names(parts, task.test_names) for _, parts in loaded)
        train = _chained(loaded, task.train_names)
        return train, _chained(loaded, task.test_names) if has_test else None


def parse_hub(task: Task, spec: str, form: Form) -> Hub:
    """The source of `hub`, `hub@REVISION`, `hub:OWNER/NAME` or `hub:OWNER/NAME@REVISION`."""
    head, _, revision = spec.partition("@")
    own = head.partition(":")[2]
    if own and not re.fullmatch(r"[\w.\-]+/[\w.\-]+", own):
        raise DataError(f"--{task.name} {spec}: {own!r} is no Hub data set; expected hub:OWNER/NAME@REVISION")
    if own:
        return Hub((own,), revision or None, is_in_form=False)
    if "any" in task.hub:
        return Hub((task.hub["any"],), revision or None, is_in_form=True)
    forms = ("lexicalised", "delexicalised") if form == "both" else (form,)
    return Hub(tuple(task.hub[each] for each in forms), revision or None, is_in_form=True)


@cache
def snapshot(repository: str, revision: str | None) -> Path:
    """The folder that holds the data set at one commit; the folder's name is the commit.

    A revision that is no commit (a branch, a tag, none) is resolved by the Hub, and offline
    (HF_HUB_OFFLINE=1) by what the cache knows of it. Raises ContsymError where neither has it.
    """
    import huggingface_hub

    try:
        return Path(
            huggingface_hub.snapshot_download(
                repository, repo_type="dataset", revision=revision, allow_patterns=_PATTERNS
            )
        )
    except Exception as error:
        raise _failed(repository, error) from error


@cache
def _parts(repository: str, revision: str | None) -> Mapping[str, Dataset]:
    import datasets

    folder = snapshot(repository, revision)
    try:
        # From the folder, not by name: what is read is what the commit holds.
        return datasets.load_dataset(str(folder))
    except Exception as error:
        raise _failed(repository, error) from error


def _failed(repository: str, error: Exception) -> ContsymError:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
    return ContsymError(
        f"hub:{repository} cannot be loaded ({reason}); connect to the Hub, or give a local copy as a path"
    )


def _names(parts: Mapping[str, Dataset], alternatives: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    return next((names for names in alternatives if set(names) <= set(parts)), ())


def _chained(
    loaded: list[tuple[str, Mapping[str, Dataset]]], alternatives: tuple[tuple[str, ...], ...]
) -> Iterator[Placed]:
    for repository, parts in loaded:
        for name in _names(parts, alternatives):
            for number, row in enumerate(rows_of(parts[name]), 1):
                yield f"hub:{repository}/{name}:row {number}", rename(row)
