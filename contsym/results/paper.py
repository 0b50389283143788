"""The figures that the paper reports."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class PaperMethod:
    strategy: str
    """Its name in contsym."""
    title: str
    samples: int
    """Wikidata pairs until the target is reached."""
    forgetting: float
    """Loss on MNLI in percentage points."""


# Capturing Symmetry and Antisymmetry in Language Models through Symmetry-Aware Training Objectives
SOURCE = "Yuan and Vlachos 2025, arXiv 2504.16312"
PROTOCOL = "RoBERTa-Large, full MNLI, then Wikidata pairs"
ENCODER = "roberta-large"
TASKS = ["mnli", "wikidata"]
RELATIONS = frozenset(
    (
        "is a sibling of",
        "is located in",
        "is different from",
        "possibly the same as",
        "is part of",
        "is a type of",
        "is a child of",
        "is the father of",
        "is the mother of",
        "partially overlaps with",
        "is an equivalent name of",
        "has part(s) that are instances of",
        "led to",
        "caused by",
    )
)
"""Of the published pairs."""
MNLI_TRAIN = 392_702  # all training pairs of MultiNLI 1.0
METHODS = (
    PaperMethod("random_labels", "random labels", 48, 5.8),
    PaperMethod("knn_fixed", "k-NN, fixed labels", 64, 7.7),
    PaperMethod("knn_learned", "k-NN, learned labels", 400, 21.5),
    PaperMethod("fine_tune", "fine-tuning", 336, 11.2),
)


def are_of_wikidata(relations: Collection[str]) -> bool:
    """Whether most of them are the paper's, or Wikidata's properties, and not of pairs of somebody's own.

    >>> are_of_wikidata(["P26", "is part of"]), are_of_wikidata(["is a colleague of", "P26"]), are_of_wikidata([])
    (True, False, False)
    """
    known = [each for each in relations if each in RELATIONS or re.fullmatch(r"P[1-9]\d*", each)]
    return 2 * len(known) > len(relations)
