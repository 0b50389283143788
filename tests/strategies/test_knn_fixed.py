"""knn_fixed's choices: which are refused, what reaches the head and the memory, what is stored."""

import pytest
import torch

from contsym.errors import SettingError
from contsym.strategies.catalog import load_strategy
from contsym.training.plan import parse_settings
from tests.runs import one_seed


@pytest.mark.parametrize(
    ("strategy", "given", "message"),
    [
        (
            "knn_fixed",
            {"relation": "sum"},
            "--set relation=sum: expected 'division', 'product', 'rotation', 'difference' or 'concat'",
        ),
        ("knn_fixed", {"metric": "l1"}, "--set metric=l1: expected 'cosine' or 'euclidean'"),
        ("knn_fixed", {"index": "fast"}, "--set index=fast: expected 'auto', 'flat' or 'ivf'"),
        (
            "fine_tune",
            {"index": "flat"},
            "--set index: no setting of this strategy; it has batch_size, clip_norm",
        ),
        (
            "knn_cosine",
            {"memory_dtype": "float8"},
            "--set memory_dtype=float8: expected 'float32' or 'float16'",
        ),
        (
            "knn_learned",
            {"memory": "reservoir"},
            "--set memory=reservoir: expected refresh, stale, compensate or reservoir:N, as reservoir:500",
        ),
        (
            "knn_fixed",
            {"memory": "reservoir:0"},
            "--set memory=reservoir:0: expected refresh, stale, compensate or reservoir:N, as reservoir:500",
        ),
        (
            "protonet",
            {"memory": "compensate"},
            "--set memory=compensate: expected refresh, stale or reservoir:N, as reservoir:500",
        ),
        (
            "zero_shot",
            {"relation": "product", "guard": "1"},
            "--set guard=1: expected relation=division with it, since no other relation divides",
        ),
    ],
)
def test_what_is_refused(strategy, given, message):
    with pytest.raises(SettingError) as error:
        parse_settings(load_strategy(strategy), given)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("order", [("guard", "relation"), ("relation", "guard")])
def test_a_guard_goes_with_division_in_either_order(order):
    given = {"guard": "1", "relation": "division"}
    settings = parse_settings(load_strategy("protonet"), {name: given[name] for name in order})
    assert (settings.guard, settings.relation) == (1.0, "division")


@pytest.mark.parametrize(
    ("relation", "metric", "dim"),
    [
        ("product", "cosine", 32),
        ("rotation", "euclidean", 32),
        pytest.param("difference", "euclidean", 32, marks=pytest.mark.slow),
        pytest.param("concat", "cosine", 64, marks=pytest.mark.slow),
    ],
)
def test_every_relation_learns_the_toy_task(relation, metric, dim, toy, tiny_encoder_folder, tmp_path):
    result, _, tensors = one_seed(
        toy,
        tiny_encoder_folder,
        tmp_path,
        "knn_fixed",
        settings={"relation": relation, "metric": metric},
        curve=False,
        audit=False,
    )
    # Rotation sees no more than angles, and of 16 of them; the others must learn what division learns.
    assert result.matrix[1][0] >= (0.6 if relation == "rotation" else 0.9)
    assert tensors["memory.embeddings"].shape == (200, dim)
    assert torch.allclose(tensors["memory.embeddings"].norm(dim=1), torch.ones(200), atol=1e-5)


def test_a_reservoir_stores_its_number_of_pairs_of_both_tasks(toy, tiny_encoder_folder, tmp_path):
    result, _, tensors = one_seed(
        toy,
        tiny_encoder_folder,
        tmp_path,
        "knn_fixed",
        "mnli_then_wikidata",
        settings={"steps": "2", "memory": "reservoir:50"},
        audit=False,
    )
    assert len(tensors["memory.labels"]) == 50
    assert result.cost.stored_bytes == 50 * (32 * 4 + 8)
    # Neutral pairs are MNLI's alone: something of the first task is left.
    assert (tensors["memory.labels"] == 1).any()


@pytest.mark.parametrize("settings", [{"index": "ivf"}, {"memory_dtype": "float16"}], ids=str)
def test_every_index_and_type_answers_like_all_compared_in_float32(
    settings,
    toy,
    tiny_encoder_folder,
    tmp_path,
):
    found = [
        one_seed(
            toy,
            tiny_encoder_folder,
            tmp_path,
            "knn_fixed",
            "mnli_then_wikidata",
            settings={"steps": "20", **given},
            curve=False,
            audit=False,
        )
        for given in ({"index": "flat"}, settings)
    ]
    (flat, flat_rows, flat_tensors), (result, rows, tensors) = found
    assert flat.loss == result.loss
    # Of 260 pairs some have equal neighbours, of which the indexes may take different ones.
    agree = sum(a == b for a, b in zip(flat_rows, rows, strict=True))
    assert agree >= 0.95 * len(rows)
    assert flat.notes == []
    embeddings = flat_tensors["memory.embeddings"], tensors["memory.embeddings"]
    if "index" in settings:
        assert result.cost.stored_bytes > flat.cost.stored_bytes
        (note,) = result.notes
        assert note.startswith("memory index ivf over 260 pairs: 32 of 64 lists ")
        assert torch.equal(*embeddings)
    else:
        assert result.notes == []
        assert result.cost.stored_bytes == 260 * (32 * 2 + 8)
        assert embeddings[1].dtype == torch.float16
        assert torch.allclose(embeddings[0], embeddings[1].float(), rtol=2**-11, atol=2**-25)
