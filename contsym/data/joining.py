"""Parts of a list as one data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset


class Joined:
    """The parts of a list that grows, behind one another; what was joined the last time is not joined again.

    Joining costs about a millisecond a part, whatever its size, so that anew after each of n experiences it would come to
    n^2 of them.
    """

    def __init__(self) -> None:
        self._parts: list[Dataset] = []
        self._whole: Dataset | None = None

    def of(self, parts: Sequence[Dataset]) -> Dataset:
        """The parts, of which there must be one at least; parts are known by being the same objects."""
        from datasets import concatenate_datasets

        n = len(self._parts)
        if (
            self._whole is None
            or len(parts) < n
            or any(a is not b for a, b in zip(self._parts, parts[:n], strict=True))
        ):
            self._parts, self._whole, n = [parts[0]], parts[0], 1
        if new := parts[n:]:
            self._whole = concatenate_datasets([self._whole, *new])
            self._parts = list(parts)
        return self._whole
