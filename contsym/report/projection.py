"""The 2-D view of label embeddings h ⊘ p before and after training: one PCA for both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contsym.errors import ContsymError, first_line
from contsym.report.collect import Collected, Stored
from contsym.results.store import TENSORS


@dataclass(frozen=True)
class LabelView:
    """One result's pairs as points, (pairs, 2) before and after training, on the same axes."""

    variant: str
    shots: int
    seed: int
    relations: Sequence[str]
    kinds: Sequence[str]
    before: list[list[float]]
    after: list[list[float]]
    shares: tuple[float, float]
    """Share of the variance of both sets together, per axis."""


def label_views(collected: Collected) -> list[LabelView]:
    """A view per variant with vectors: of its largest shots and first seed."""
    views = []
    for variant in collected.variants:
        groups = (collected.group(variant, shots) for shots in reversed(collected.shots))
        stored = next((s for group in groups for s in group if s.result.view), None)
        if stored and (view := label_view(variant, stored)):
            views.append(view)
    return views


def label_view(variant: str, stored: Stored) -> LabelView | None:
    """None where no vectors are stored, or too few for a plane: fewer than three pairs or two dimensions."""
    import numpy as np

    about = stored.result.view
    if about is None:
        return None
    before, after = _vectors(stored.folder / TENSORS)
    if len(about.relation) != len(before):
        raise ContsymError(
            f"{stored.folder / TENSORS}: {len(before)} vectors for {len(about.relation)} pairs; "
            "the result is damaged: run it again"
        )
    if len(before) < 3 or before.shape[1] < 2:
        return None
    points, shares = plane(np.concatenate([before, after]))
    n = len(before)
    return LabelView(
        variant,
        stored.result.n_shots,
        stored.result.seed,
        about.relation,
        about.kind,
        points[:n].tolist(),
        points[n:].tolist(),
        shares,
    )


def plane(vectors):
    """(n, 2) coordinates on the first two principal components, to 4 digits, and their shares of variance.

    Where all vectors are equal there is no variance, and all points are 0.
    """
    import numpy as np
    from sklearn.decomposition import PCA

    if np.ptp(vectors, axis=0).max() == 0:
        return np.zeros((len(vectors), 2)), (0.0, 0.0)
    pca = PCA(n_components=2, svd_solver="full")
    # Adding zero turns -0.0 into 0.0.
    points = np.round(pca.fit_transform(vectors), 4) + 0.0
    first, second = pca.explained_variance_ratio_.tolist()
    return points, (first, second)


def _vectors(path: Path):
    import numpy as np
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return tuple(file.get_tensor(f"view.{when}").astype(np.float32) for when in ("before", "after"))
    except (OSError, SafetensorError) as error:
        raise ContsymError(
            f"{path}: cannot be read ({first_line(error)}); expected the vectors of a result"
        ) from None
