"""Computed heads: against batch formulas and scikit-learn, in any order and in parts of any size."""

import numpy as np
import pytest
import torch

from contsym.models import closed_form
from contsym.models.algebra import pair_features
from contsym.models.closed_form import (
    ClassMeans,
    RidgeClassifier,
    StreamingDiscriminant,
    class_sums,
    discriminant,
    ridge_solution,
    unseen_last,
)

DIM, N_LABELS = 3, 3


def pairs(n=60, seed=0, n_seen=N_LABELS):
    """p, h and labels whose features depend on the label."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % n_seen
    p, h = torch.randn(2, n, DIM, generator=generator)
    return p + labels[:, None], h - 0.5 * labels[:, None], labels


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


HEADS = {
    "means": lambda: ClassMeans(4 * DIM, N_LABELS, "cosine"),
    "means, euclidean": lambda: ClassMeans(4 * DIM, N_LABELS, "euclidean"),
    "discriminant": lambda: StreamingDiscriminant(4 * DIM, N_LABELS, 0.1),
    "ridge": lambda: RidgeClassifier(4 * DIM, N_LABELS, 0.5, 0, seeded()),
    "ridge, projected": lambda: RidgeClassifier(4 * DIM, N_LABELS, 0.5, 20, seeded()),
}
every_head = pytest.mark.parametrize("make", HEADS.values(), ids=HEADS.keys())


def fitted(make, *parts):
    head = make()
    for part in parts:
        head.add(*part)
    return head


def test_class_sums_of_three_rows():
    counts, sums = class_sums(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), torch.tensor([0, 2, 0]), 3)
    assert counts.tolist() == [2, 0, 1]
    assert sums.tolist() == [[6, 8], [0, 0], [3, 4]]


def test_an_unseen_label_comes_last():
    found = unseen_last(torch.tensor([[0.5, 9.0, -2.0]]), torch.tensor([4, 0, 1]))
    assert found.tolist() == [[0.5, -3.0, -2.0]]


@every_head
def test_before_any_pair_all_labels_score_alike_and_finite(make):
    found = make()(*pairs()[:2])
    assert found.shape == (60, N_LABELS)
    assert found.isfinite().all()
    assert (found == found[:, :1]).all()


@every_head
def test_one_after_another_is_both_at_once(make):
    p, h, labels = pairs()
    # Unequal parts, and a first one that has label 0 alone: the label sets of experiences differ.
    order = labels.argsort(stable=True)
    cuts = (order[:7], order[7:33], order[33:])
    streamed = fitted(make, *((p[c], h[c], labels[c]) for c in cuts))
    turned = fitted(make, *((p[c], h[c], labels[c]) for c in reversed(cuts)))
    at_once = fitted(make, (p, h, labels))
    # float64 sums of 60 numbers near 1, then float32 scores.
    for other in (streamed, turned):
        assert torch.allclose(other(p, h), at_once(p, h), rtol=1e-5, atol=1e-5)


@every_head
def test_parts_in_memory_do_not_show(make, monkeypatch):
    whole = fitted(make, pairs())(*pairs()[:2])
    monkeypatch.setattr(closed_form, "PART", 7)
    assert torch.allclose(fitted(make, pairs())(*pairs()[:2]), whole, rtol=1e-5, atol=1e-5)


@every_head
def test_a_label_without_pairs_is_never_answered(make):
    p, h, labels = pairs(n_seen=2)
    # Far from every pair as well.
    found = fitted(make, (p, h, labels))(100 * p - 50, 100 * h + 50)
    assert found.isfinite().all()
    assert set(found.argmax(dim=1).tolist()) <= {0, 1}


@every_head
def test_one_pair_and_zero_vectors_give_finite_scores(make):
    p, h, labels = pairs(n=1)
    zero = torch.zeros(2, DIM)
    assert fitted(make, (p, h, labels))(p, h).argmax(dim=1).tolist() == [0]
    assert fitted(make, (zero, zero, torch.tensor([0, 1])))(zero, zero).isfinite().all()


@every_head
def test_saved_state_gives_the_same_scores_and_continues_alike(make):
    one = fitted(make, pairs())
    other = make()
    shapes = {name: t.shape for name, t in other.state_dict().items()}
    assert {name: t.shape for name, t in one.state_dict().items()} == shapes
    other.load_state_dict(one.state_dict())
    for head in (one, other):
        head.add(*pairs(seed=1))
    assert torch.equal(one(*pairs()[:2]), other(*pairs()[:2]))
    assert list(one.parameters()) == []


def test_nearest_mean_on_paper():
    # Features [p, h, |p - h|, p h] of (1, 0) are [1, 0, 1, 0], of (3, 0) [3, 0, 3, 0]: mean [2, 0, 2, 0];
    # of (0, 1) [0, 1, 1, 0].
    euclidean, cosine = ClassMeans(4, 2, "euclidean"), ClassMeans(4, 2, "cosine")
    p, h = torch.tensor([[1.0], [3.0], [0.0]]), torch.tensor([[0.0], [0.0], [1.0]])
    for head in (euclidean, cosine):
        head.add(p, h, torch.tensor([0, 0, 1]))
        assert head.means.tolist() == [[2, 0, 2, 0], [0, 1, 1, 0]]
    query = torch.tensor([[0.0]]), torch.tensor([[2.0]])  # features [0, 2, 2, 0]
    assert euclidean(*query)[0].tolist() == pytest.approx([-(8**0.5), -(2**0.5)])
    assert cosine(*query)[0].tolist() == pytest.approx([0.5 - 1, 0.0], abs=1e-6)


def test_streaming_discriminant_is_batch_lda():
    p, h, labels = pairs(n=47)
    head = StreamingDiscriminant(4 * DIM, N_LABELS, 0.2)
    for part in torch.randperm(47, generator=seeded()).split(5):
        head.add(p[part], h[part], labels[part])
    x, y = pair_features(p, h).double().numpy(), labels.numpy()
    means = np.stack([x[y == c].mean(axis=0) for c in range(N_LABELS)])
    covariance = sum(np.outer(r, r) for r in x - means[y]) / len(x)
    shrunk = 0.8 * covariance + 0.2 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    # By distances: -(x - m)^T S^-1 (x - m) / 2 differs from the scores by a number for each x alone.
    apart = x[:, None] - means
    distances = np.einsum("ncd,de,nce->nc", apart, np.linalg.inv(shrunk), apart)
    scores = head(p, h).double().numpy()
    found, expected = (s - s.mean(axis=1, keepdims=True) for s in (scores, -distances / 2))
    assert np.allclose(head.scatter.numpy() / 47, covariance, rtol=1e-10, atol=1e-12)
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_streaming_discriminant_is_scikit_learns_where_the_labels_are_balanced():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    p, h, labels = pairs()
    head = fitted(HEADS["discriminant"], (p, h, labels))
    x = pair_features(p, h).double().numpy()
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(x, labels.numpy())
    q_p, q_h, _ = pairs(seed=5)
    scores = theirs.decision_function(pair_features(q_p, q_h).double().numpy())
    ours = head(q_p, q_h).double().numpy()
    # They add the logarithm of equal priors.
    assert np.allclose(ours, scores - np.log(1 / 3), rtol=1e-4, atol=1e-4)


def test_full_shrinkage_is_the_nearest_mean():
    means = torch.tensor([[2.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    weight, bias = discriminant(means, torch.diag(torch.tensor([3.0, 1.0], dtype=torch.float64)), 1.0)
    # The mean of the diagonal is 2: weight = mean / 2, bias = -|mean|^2 / 4.
    assert weight.flatten().tolist() == pytest.approx([1.0, 0.0, 0.0, 0.5])
    assert bias.tolist() == pytest.approx([-1.0, -0.25])
    # Of no scatter the unit is taken: (s * 1)^-1 = 2.
    assert torch.allclose(discriminant(means, torch.zeros(2, 2).double(), 0.5)[0], 2 * means)


@pytest.mark.parametrize("n_random", [0, 20])
def test_ridge_is_scikit_learns_on_standardised_features(n_random):
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    p, h, labels = pairs()
    head = RidgeClassifier(4 * DIM, N_LABELS, 0.5, n_random, seeded())
    head.add(p, h, labels)
    x = pair_features(p, h).double()
    if n_random:
        drawn = torch.randn(4 * DIM, n_random, generator=seeded())
        x = (x.float() @ drawn).clamp_min(0).double()
    standardised = StandardScaler().fit_transform(x.numpy())
    theirs = Ridge(alpha=0.5 * 60).fit(standardised, np.eye(3)[labels.numpy()])
    assert np.allclose(head(p, h).numpy(), theirs.predict(standardised), rtol=1e-4, atol=1e-5)


def test_ridge_on_paper():
    # One feature, -1 and 1, of two labels: covariance 1 and 1/2 towards the second label, so with
    # strength 1 its weight is (1/2) / (1 + 1) = 1/4; the second feature is always 5 and gets 0.
    x = torch.tensor([[-1.0, 5.0], [1.0, 5.0]], dtype=torch.float64)
    y = torch.eye(2, dtype=torch.float64)
    weight, bias = ridge_solution(x.T @ x, x.sum(dim=0), y.T @ x, y.sum(dim=0), 1.0)
    assert weight[:, 0].tolist() == pytest.approx([-0.25, 0.25])
    assert weight[:, 1].tolist() == [0.0, 0.0]
    assert bias.tolist() == pytest.approx([0.5, 0.5])


def test_a_weight_of_two_is_the_pair_twice():
    part, rest = pairs(n=9), pairs(n=30, seed=1)
    twice, weighted = (HEADS["ridge"]() for _ in range(2))
    for head in (twice, weighted):
        head.add(*rest)
    twice.add(*part)
    twice.add(*part)
    weighted.add(*part, pair_weight=2.0)
    assert torch.allclose(twice(*rest[:2]), weighted(*rest[:2]), rtol=1e-5, atol=1e-6)
