"""The settings each strategy is tested with: a new strategy needs one line here, and no more."""

from collections.abc import Iterable
from typing import Any

import pytest

SETTINGS: dict[str, dict[str, str]] = {
    "cloze": {"learning_rate": "3e-3"},
    "fine_tune": {"learning_rate": "3e-3"},
    "frozen_probe": {"learning_rate": "3e-2"},
    "knn_cosine": {"learning_rate": "3e-3"},
    "knn_fixed": {"learning_rate": "3e-3"},
    "knn_learned": {"learning_rate": "3e-3"},
    "ncm": {},
    "nli_head": {"learning_rate": "3e-3"},
    "prompt_llm": {"k": "2"},
    "protonet": {"learning_rate": "3e-3"},
    "random_labels": {"learning_rate": "3e-3"},
    "ridge": {},
    "routed_adapters": {"learning_rate": "3e-3"},
    "setfit": {"learning_rate": "3e-3"},
    "slda": {},
    "text_labels": {"learning_rate": "3e-3"},
    "zero_shot": {},
}

ENCODERS: dict[str, str] = {
    "cloze": "tiny_masked_lm_folder",
    "nli_head": "tiny_nli_folder",
    "prompt_llm": "tiny_causal_folder",
}
"""The fixture with the checkpoint that a strategy needs, where the tiny BERT does not do."""

FAST = ("fine_tune", "knn_fixed", "ridge")
"""What the fast tests try each law on: one strategy trained by gradient steps, one with a memory, one in closed form."""


def fast_and_slow(cases: Iterable[Any], fast: Iterable[Any] = FAST) -> list[Any]:
    """All cases as parameters of a test; those not in `fast` are for the slow tests."""
    fast = list(fast)
    return [case if case in fast else pytest.param(case, marks=pytest.mark.slow) for case in cases]
