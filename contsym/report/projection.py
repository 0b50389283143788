"""The 2-D view of label embeddings h ⊘ p before and after training: one PCA for both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from contsym.errors import ContsymError, first_line
from contsym.report.collect import Collected
from contsym.results.schema import SeedResult
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
        folder = next((each for each in _with_view(collected, variant) if has_vectors(each)), None)
        if folder and (view := label_view(variant, collected.by_folder[folder], folder / TENSORS)):
            views.append(view)
    return views


def without_vectors(collected: Collected) -> list[str]:
    """The variants of whose results no file of vectors was kept."""
    found = {variant: list(_with_view(collected, variant)) for variant in collected.variants}
    return [variant for variant, folders in found.items() if folders and not any(map(has_vectors, folders))]


def has_vectors(folder: Path) -> bool:
    return (folder / TENSORS).exists()


def _with_view(collected: Collected, variant: str) -> Iterator[Path]:
    """The folders of the results that were stored with a view, of the largest shots and the first seed first."""
    for shots in reversed(collected.shots):
        for folder in collected.folders(variant, shots).values():
            if collected.by_folder[folder].view:
                yield folder


def label_view(variant: str, result: SeedResult, path: Path) -> LabelView | None:
    """None if no vectors are stored, or too few for a plane: fewer than three pairs or two dimensions."""
    import numpy as np

    if result.view is None:
        return None
    relations, kinds = result.view.relation, result.view.kind
    before, after = _vectors(path)
    n = len(before)
    if len(relations) != n:
        raise ContsymError(
            f"{path}: {n} vectors for {len(relations)} pairs; the result is damaged: run it again"
        )
    if n < 3 or before.shape[1] < 2:
        return None
    points, shares = plane(np.concatenate([before, after]))
    before_points, after_points = points[:n].tolist(), points[n:].tolist()
    return LabelView(
        variant, result.shots_group, result.seed, relations, kinds, before_points, after_points, shares
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
