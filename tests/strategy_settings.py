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
    "routed_adapters": {"learning_rate": "7e-4"},
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
NIGHT = ("frozen_probe", "knn_cosine", "ncm", "nli_head", "slda", "text_labels")
"""What only the tests of the night try each law on: strategies whose parts are those of others.

They are a k-NN with another distance, other label vectors, heads, and statistics in closed form.
"""
SLOW = tuple(name for name in SETTINGS if name not in (*FAST, *NIGHT))


def fast_and_slow(
    cases: Iterable[Any], fast: Iterable[Any] = FAST, slow: Iterable[Any] | None = None
) -> list[Any]:
    """All cases as parameters of a test.

    Those not in `fast` are for the slow tests, or where `slow` is given those in it, and the others for the night.
    """
    cases, fast = list(cases), list(fast)
    slow = cases if slow is None else list(slow)

    def marked(case: Any) -> Any:
        return pytest.param(case, marks=pytest.mark.slow if case in slow else pytest.mark.night)

    return [case if case in fast else marked(case) for case in cases]
