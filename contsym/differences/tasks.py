"""The pairs of each ability: which are answered, which are learned from, and the folds of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contsym.data.cache import load_task
from contsym.data.pair_rows import PairSource, read_pair_rows
from contsym.data.schema import SKILLS_BETWEEN, Form, Row, rows_of, stable_hash
from contsym.differences.schema import GROUP_COLUMNS, GroupColumn
from contsym.errors import SettingError
from contsym.plugins import INSTALLED, Plugins
from contsym.tasks.catalog import tasks
from contsym.tasks.schema import NLI_LABELS

N_FOLDS = 5
MIN_PAIRS = 10 * N_FOLDS
"""Different pairs that probes and k-NN need.

With 10 per fold, a probe of noise over two labels is right in half of the pairs with a standard deviation of 0.07, and the
15 votes of k-NN are fewer than half of the pairs that it learns from.
"""
BUNDLED_TASKS = ("mnli", "wikidata")
"""Measured in any case: the bundled sample of MultiNLI and the bundled symmetry pairs."""


@dataclass(frozen=True)
class TaskPairs:
    """Held-out pairs of a task; the first `n` are answered, all are learned from outside their own fold."""

    name: str
    source: str
    notes: tuple[str, ...]
    n: int
    names: tuple[str, ...]
    """Of the labels, by class number."""
    ids: Sequence[str]
    premises: Sequence[str]
    hypotheses: Sequence[str]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64] | None
    """None where the pairs are too few for probes and k-NN."""
    groups: Mapping[GroupColumn, Mapping[str, NDArray[np.int64]]]
    """Rows of answered pairs by column and value, the largest group first."""
    too_few: str = ""
    """What the folds lack, where there are none."""

    @property
    def is_nli(self) -> bool:
        """Whether its labels are those of an NLI head."""
        return self.names == NLI_LABELS

    @property
    def truth(self) -> NDArray[np.str_]:
        """The label of each answered pair."""
        return np.array(self.names)[self.labels[: self.n]]


def load_pairs(
    name: str, source: PairSource, *, seed: int, limit: int, form: Form, plugins: Plugins = INSTALLED
) -> TaskPairs:
    """The pairs of a task by its source, of a file under any other name, or of rows in memory.

    Of a task the test pairs are answered, and the validation pairs only learned from. Its training pairs are not
    touched: the checkpoint may know them by heart. Every pair of a file or in memory is answered.
    """
    names: tuple[str, ...] = NLI_LABELS
    known = tasks(plugins)
    if name in known and isinstance(source, str | Path):
        spec = known[name]
        if spec.inputs != "pair":
            raise SettingError(f"--task {name}: its examples are single texts; expected a task of pairs")
        task = load_task(spec, str(source), form)
        names = spec.labels
        answered, others = list(rows_of(task.test)), list(rows_of(task.validation))
        where, notes = task.source, task.notes
    else:
        pairs = read_pair_rows(source)
        answered, others, where, notes = pairs.rows, [], pairs.source, pairs.notes
    n_given = len(answered) + len(others)
    answered, others = (_drawn(rows, seed, limit) for rows in (answered, others))
    rows = answered + others
    labels = np.array([row["label"] for row in rows], dtype=np.int64)
    groups = [_group(row) for row in rows]
    too_few = ""
    if (n_groups := len(set(groups))) < MIN_PAIRS:
        of_limit = f" with --limit {limit}" if n_given > len(rows) else ""
        too_few = (
            f"{n_groups} different pairs{of_limit}, both directions counted once; expected at least {MIN_PAIRS}, for the "
            f"{N_FOLDS} folds of probe and k-NN"
        )
    return TaskPairs(
        name,
        where,
        tuple(notes),
        len(answered),
        names,
        [str(row["id"]) for row in answered],
        [str(row["premise"]) for row in rows],
        [str(row["hypothesis"]) for row in rows],
        labels,
        None if too_few else folds_of(groups, labels, seed),
        _columns(answered),
        too_few,
    )


def _drawn(rows: list[Row], seed: int, limit: int) -> list[Row]:
    if len(rows) <= limit:
        return rows
    order = sorted(range(len(rows)), key=lambda i: stable_hash(seed, *_group(rows[i]), rows[i]["id"]))
    return [rows[i] for i in sorted(order[:limit])]


def _group(row: Row) -> tuple[str, str]:
    """A pair and its mirror image are one group: they stay in one fold."""
    first, second = sorted((str(row["premise"]), str(row["hypothesis"])))
    return first, second


def folds_of(
    groups: Sequence[tuple[str, str]], labels: NDArray[np.int64], seed: int, n_folds: int = N_FOLDS
) -> NDArray[np.int64]:
    """The fold of each pair: groups of one label, in the order of a hash of seed and text, take turns.

    So each fold has its share of every label, and the folds depend on neither the order of the pairs nor the checkpoint.

    >>> folds_of([("a", "b"), ("c", "d"), ("a", "b"), ("e", "f")], np.array([0, 0, 0, 0]), seed=0, n_folds=3).tolist()
    [2, 0, 2, 1]
    """
    label_of: dict[tuple[str, str], int] = {}
    for group, label in zip(groups, labels.tolist(), strict=True):
        label_of[group] = min(label, label_of.get(group, label))
    order = sorted(label_of, key=lambda group: (label_of[group], stable_hash(seed, *group)))
    fold_of = {group: i % n_folds for i, group in enumerate(order)}
    return np.array([fold_of[group] for group in groups], dtype=np.int64)


def _columns(rows: Sequence[Row]) -> dict[GroupColumn, dict[str, NDArray[np.int64]]]:
    """The groups of each column that has any; of a pair with several skills in each of them."""
    found: dict[GroupColumn, dict[str, NDArray[np.int64]]] = {}
    for column in GROUP_COLUMNS:
        members: dict[str, list[int]] = {}
        for i, row in enumerate(rows):
            value = str(row.get(column) or "")
            for name in filter(None, value.split(SKILLS_BETWEEN) if column == "skill" else [value]):
                members.setdefault(name, []).append(i)
        if members:
            by_size = sorted(members, key=lambda name: (-len(members[name]), name))
            found[column] = {name: np.array(members[name]) for name in by_size}
    return found


def check_names(tasks: Mapping[str, PairSource]) -> None:
    """Raise SettingError for a name that cannot be that of a task."""
    for name in tasks:
        if (
            not name
            or not name.replace("-", "").replace("_", "").replace(".", "").isalnum()
            or len(name) > 60
        ):
            raise SettingError(
                f"--task {name!r}: expected a name of letters, digits, '-', '_' and '.', at most 60, as in "
                "--task mine=pairs.jsonl"
            )
