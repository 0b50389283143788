"""Encoders and classifiers of every kind: their parts cover their weights, and none differs from itself."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from contsym.differences import run
from contsym.differences.checkpoint import LoadedCheckpoint, put_back, with_facts
from contsym.differences.run import diff
from contsym.models.encoders.checkpoints import locate
from tests.differences.conftest import copy_of
from tests.models.encoders.families import FAMILIES, save_family
from tests.strategy_settings import fast_and_slow

LABELS = ("contradiction", "entailment", "neutral")
UNLIKE = ("bert", "albert", "deberta-v2", "t5", "bart", "gpt2", "llama")
"""Kinds whose layers have other names or another place; in the others they are as in one of these."""


@pytest.fixture(autouse=True)
def only_the_toy_task(monkeypatch):
    monkeypatch.setattr(run, "BUNDLED_TASKS", ())


def loaded(folder):
    return LoadedCheckpoint(with_facts(locate(str(folder))), "cpu", "fp32")


@pytest.mark.parametrize("kind", fast_and_slow(FAMILIES, UNLIKE, []))
def test_no_encoder_differs_from_itself(kind, tmp_path, pairs_file):
    folder = save_family(tmp_path / "model", kind)
    found = diff(folder, copy_of(folder, tmp_path / "copy"), {"toy": pairs_file})
    figures = [(p.weights, p.cka_distance, p.drift, p.neighbours_lost) for p in found.parts]
    assert {value for row in figures for value in row} <= {0, None}
    # Both layers have states; ALBERT's share one set of weights.
    by_name = {p.name: p for p in found.parts}
    assert {"embeddings", "layer 1", "layer 2", "vectors"} <= set(by_name)
    assert by_name["layer 1"].weights == 0 and (by_name["layer 2"].weights == 0) == (kind != "albert")
    assert all(a.change == 0 for a in found.abilities) and found.notes == ()


@pytest.mark.parametrize(
    "kind", fast_and_slow(["bart", "llama", "distilbert", "roberta"], ["bart", "roberta"], [])
)
def test_a_classifier_of_any_kind_answers_by_its_own_head_and_can_be_patched(kind, tmp_path, pairs_file):
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {n: i for i, n in enumerate(LABELS)}}
    folder = save_family(tmp_path / "model", kind, AutoModelForSequenceClassification, **names)
    found = diff(folder, copy_of(folder, tmp_path / "copy"), {"toy": pairs_file})
    assert found.reads == "pairs" and found.ability("toy", "own head").change == 0
    assert "head" in {part.name for part in found.parts}
    side = loaded(folder)
    texts = [("anna is near ben", "ben is near anna")] * 3
    before = side.read(texts, lambda: None, joint=True).logits
    assert torch.allclose(before, side.classifier.encode(texts), atol=1e-6)
    # A head of zeros answers zero to everything, and is gone again afterwards.
    head = side.parts()["head"]
    with put_back(head, {name: torch.zeros_like(t) for name, t in head.items()}):
        assert (side.read(texts, lambda: None, joint=True).logits == 0).all()
    assert torch.equal(side.read(texts, lambda: None, joint=True).logits, before)


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_weight_that_a_vector_reads_is_in_a_part(kind, tmp_path):
    side = loaded(save_family(tmp_path / "model", kind))
    places = {t.data_ptr() for part in side.parts().values() for t in part.values()}
    unread = [
        name
        for name, t in side.encoder.named_parameters()
        if t.data_ptr() not in places and "pooler" not in name.split(".")
    ]
    assert unread == []


def test_a_head_over_other_labels_is_named_and_not_used(tmp_path, pairs_file):
    names = {"id2label": {0: "good", 1: "bad"}, "label2id": {"good": 0, "bad": 1}}
    folder = save_family(tmp_path / "model", "bert", AutoModelForSequenceClassification, **names)
    found = diff(folder, copy_of(folder, tmp_path / "copy"), {"toy": pairs_file})
    assert found.notes == tuple(
        f"{side}: its head has the labels good, bad, not entailment, neutral and contradiction, so it is not measured "
        "(id2label in config.json names them)"
        for side in ("OLD", "NEW")
    )
    assert found.new.words.endswith("; a head over other labels")
    assert [a.measure for a in found.abilities] == ["probe", "k-NN"]
