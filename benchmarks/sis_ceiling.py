"""How well one human voter answers the 400 sentences of SIS: the ceiling beside a model's accuracy.

    python benchmarks/sis_ceiling.py sis.csv

sis.csv is the file of votes that Tanchip et al. (2020) have released (data/sis.csv of
https://github.com/jadeleiyu/symmetry_inference), with columns `votes for 1` to `votes for 5`, seven votes per sentence.
A vote below 3 says that the twin follows. It is compared with the mean of the other six votes, read in the same way, so
that no vote is compared with itself; and with the label, which is made of all seven.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from sis_pairs import MIDDLE

Votes = Sequence[int]
"""How many votes each value from 1 to 5 has."""


def ceilings(sentences: Sequence[Votes]) -> tuple[float, float]:
    """The share of votes that agree with the others of their sentence, and with its label.

    Of 1, 1 and 4 the mean is 2: the label is entailment. A 1 is alone with 1 and 4 (mean 2.5) and agrees, the 4 with
    1 and 1 and does not.

    >>> ceilings([(2, 0, 0, 1, 0)])
    (0.6666666666666666, 0.6666666666666666)
    """
    with_others, with_label = [], []
    for votes in sentences:
        total, n = sum(value * count for value, count in enumerate(votes, 1)), sum(votes)
        for value in _each(votes):
            is_true = value < MIDDLE
            with_others.append(is_true == ((total - value) / (n - 1) < MIDDLE))
            with_label.append(is_true == (total / n < MIDDLE))
    return sum(with_others) / len(with_others), sum(with_label) / len(with_label)


def _each(votes: Votes) -> Iterator[int]:
    for value, count in enumerate(votes, 1):
        yield from [value] * count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("votes", type=Path)
    with parser.parse_args().votes.open(encoding="utf-8", newline="") as file:
        rows = [
            tuple(int(row[f"votes for {value}"]) for value in range(1, 6)) for row in csv.DictReader(file)
        ]
    with_others, with_label = ceilings(rows)
    print(f"{len(rows)} sentences, {sum(map(sum, rows)):,} votes")
    print(f"a vote agrees with the mean of the others: {with_others:.4f}")
    print(f"a vote agrees with the label: {with_label:.4f}")


if __name__ == "__main__":
    main()
