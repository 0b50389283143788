"""The Avalanche benchmark of a scenario's text pairs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

from avalanche.benchmarks import CLScenario, benchmark_from_datasets
from avalanche.benchmarks.utils import ConstantSequence, DataAttribute
from avalanche.benchmarks.utils.classification_dataset import TaskAwareSupervisedClassificationDataset
from datasets import Dataset

from contsym.data.schema import in_one_table

Collate = Callable[[Sequence[Mapping[str, object]]], list[object]]


def build_benchmark(parts: Sequence[tuple[Dataset, Dataset]], collate: Collate) -> CLScenario:
    """One experience per (train, test) pair of parts, in order.

    All tasks share one label space and task label 0, so no strategy knows the task. `collate` turns a list of pairs
    (with `row` and `targets_task_labels` added) into [BatchEncoding, y, t]. Row numbers continue through all training
    parts, which distinguishes replayed pairs from those of the present experience.
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
    """The pairs with a `row` column, which identifies the pairs of a batch."""
    numbered = in_one_table(pairs).add_column("row", list(range(first_row, first_row + len(pairs))))
    return TaskAwareSupervisedClassificationDataset(
        # Avalanche needs a list around the dataset, and a list instead of a column of `datasets`.
        [numbered],
        data_attributes=[
            DataAttribute(numbered["label"][:], "targets"),
            DataAttribute(ConstantSequence(0, len(numbered)), "targets_task_labels", use_in_getitem=True),
        ],
        collate_fn=collate,
    )


def pairs_of(dataset: TaskAwareSupervisedClassificationDataset) -> Dataset:
    """The pairs of an experience's dataset; the inverse of `avalanche_dataset`."""
    (pairs,) = dataset._flat_data._datasets
    return pairs
