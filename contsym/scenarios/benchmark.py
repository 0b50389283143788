"""A scenario's text pairs as Avalanche's streams of experiences."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence

from avalanche.benchmarks import CLStream, benchmark_from_datasets
from avalanche.benchmarks.scenarios.dataset_scenario import DatasetExperience
from avalanche.benchmarks.utils import ConstantSequence, DataAttribute
from avalanche.benchmarks.utils.classification_dataset import TaskAwareSupervisedClassificationDataset
from datasets import Dataset

from contsym.data.schema import in_one_table

Collate = Callable[[Sequence[Mapping[str, object]]], list[object]]


def train_stream(parts: Sequence[Dataset], collate: Collate) -> CLStream:
    """One experience per training part, in order.

    All tasks have Avalanche's task label 0: a Template knows the task of an example, if it is given, by its label.
    `collate` turns a list of pairs (with `row` and `targets_task_labels` added) into [BatchEncoding, y, t]. Row numbers
    continue through all parts, which distinguishes replayed pairs from those of the present experience.
    """
    first_rows = itertools.accumulate((len(part) for part in parts), initial=0)
    numbered = zip(parts, first_rows, strict=False)
    return benchmark_from_datasets(
        train=[avalanche_dataset(part, collate, first) for part, first in numbered]
    ).train_stream


def test_stream(parts: Sequence[Dataset], collate: Collate) -> CLStream:
    """One experience per test part, in order; the row numbers of each begin at 0."""
    return benchmark_from_datasets(test=[avalanche_dataset(part, collate) for part in parts]).test_stream


def avalanche_dataset(
    pairs: Dataset, collate: Collate, first_row: int = 0
) -> TaskAwareSupervisedClassificationDataset:
    """The pairs with a `row` column, which identifies the pairs of a batch."""
    return _dataset_of(
        in_one_table(pairs).add_column("row", list(range(first_row, first_row + len(pairs)))), collate
    )


def _dataset_of(numbered: Dataset, collate: Collate) -> TaskAwareSupervisedClassificationDataset:
    return TaskAwareSupervisedClassificationDataset(
        # Avalanche needs a list around the dataset, and a list instead of a column of `datasets`.
        [numbered],
        data_attributes=[
            DataAttribute(numbered["label"][:], "targets"),
            DataAttribute(ConstantSequence(0, len(numbered)), "targets_task_labels", use_in_getitem=True),
        ],
        collate_fn=collate,
    )


def limited(experience: DatasetExperience, rows: Sequence[int] | None) -> DatasetExperience:
    """The experience with these rows of its pairs alone, which keep their numbers; None: as it is."""
    if rows is None:
        return experience
    dataset = experience.dataset
    one = copy.copy(experience)
    one._dataset = _dataset_of(in_one_table(pairs_of(dataset).select(rows)), dataset.collate_fn)
    return one


def pairs_of(dataset: TaskAwareSupervisedClassificationDataset) -> Dataset:
    """The pairs of an experience's dataset; the inverse of `avalanche_dataset`."""
    (pairs,) = dataset._flat_data._datasets
    return pairs
