"""The figures that the paper reports."""

from __future__ import annotations

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
MNLI_TRAIN = 392_702  # all training pairs of MultiNLI 1.0
METHODS = (
    PaperMethod("random_labels", "random labels", 48, 5.8),
    PaperMethod("knn_fixed", "k-NN, fixed labels", 64, 7.7),
    PaperMethod("knn_learned", "k-NN, learned labels", 400, 21.5),
    PaperMethod("fine_tune", "fine-tuning", 336, 11.2),
)
