"""Pairs as a method gets them to score: many parts as one dataset, and texts alone."""

from __future__ import annotations

from collections.abc import Sequence

from contsym.data.schema import Dataset


class Joined:
    """Concatenates the parts of a list that grows, and joins only the new ones.

    Joining costs about a millisecond per part, so joining all parts after each of n experiences would cost n^2.
    """

    def __init__(self) -> None:
        self._parts: list[Dataset] = []
        self._whole: Dataset | None = None

    def of(self, parts: Sequence[Dataset]) -> Dataset:
        """All parts, of which there must be at least one; a part is recognised by being the same object."""
        from datasets import concatenate_datasets

        n = len(self._parts)
        is_prefix = len(parts) >= n and all(a is b for a, b in zip(self._parts, parts, strict=False))
        if self._whole is None or not is_prefix:
            self._parts, self._whole, n = [parts[0]], parts[0], 1
        if new := parts[n:]:
            self._whole = concatenate_datasets([self._whole, *new])
            self._parts = list(parts)
        return self._whole


def texts_of(pairs: Dataset) -> Dataset:
    """The pairs as a method sees them that is to score them: premise and hypothesis, without label, kind or relation."""
    return pairs.select_columns(["premise", "hypothesis"])
