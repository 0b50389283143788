"""A scenario and its tasks' data to an Avalanche benchmark of text pairs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

from avalanche.benchmarks import CLScenario, benchmark_from_datasets
from avalanche.benchmarks.utils import ConstantSequence, DataAttribute
from avalanche.benchmarks.utils.classification_dataset import (
    TaskAwareSupervisedClassificationDataset,
)
from datasets import Dataset

from contsym.data.schema import whole

Collate = Callable[[Sequence[Mapping[str, object]]], list[object]]


def build_benchmark(parts: Sequence[tuple[Dataset, Dataset]], collate: Collate) -> CLScenario:
    """One experience for each (train, test) pair of parts, in order.

    All tasks share one label space and task label 0: no strategy is told which task it sees.
    `collate` turns a list of pairs (with `row` and `targets_task_labels` added) into
    [BatchEncoding, y, t]. Training rows are numbered through all experiences, so that a replayed
    pair is told from a present one.
    """
    first_rows = itertools.accumulate((len(train) for train, _ in parts), initial=0)
    return benchmark_from_datasets(
        train=[
            avalanche_dataset(train, collate, first)
            for (train, _), first in zip(parts, first_rows, strict=False)
        ],
        test=[avalanche_dataset(test, collate) for _, test in parts],
    )


def avalanche_dataset(
    pairs: Dataset, collate: Collate, first_row: int = 0
) -> TaskAwareSupervisedClassificationDataset:
    """The pairs with a `row` column, so that a batch knows which pairs it holds."""
    numbered = whole(pairs).add_column("row", list(range(first_row, first_row + len(pairs))))
    return TaskAwareSupervisedClassificationDataset(
        # A list around the data set and around each column: a bare HF column is not accepted.
        [numbered],
        data_attributes=[
            DataAttribute(numbered["label"][:], "targets"),
            DataAttribute(ConstantSequence(0, len(numbered)), "targets_task_labels", use_in_getitem=True),
        ],
        collate_fn=collate,
    )


def pairs_of(dataset: TaskAwareSupervisedClassificationDataset) -> Dataset:
    """The pairs behind an experience's data set; the inverse of `avalanche_dataset`."""
    (pairs,) = dataset._flat_data._datasets
    return pairs
