"""Label words: encoded with gradients in training, once in prediction, and by the encoder as it is."""

import copy

import pytest
import torch

from contsym.errors import SettingError
from contsym.models.distances import cosine_distance
from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.pair_model import PairModel
from contsym.strategies.catalog import load_strategy
from contsym.strategies.text_labels import _EncodedLabels, split_words
from contsym.training.plan import parse_settings
from tests.runs import one_seed

WORDS = ["likes", "not", "hates the"]


@pytest.fixture
def encoder(tiny_encoder_folder):
    return PooledEncoder.from_folder(tiny_encoder_folder).eval()


def vectors(seed):
    return torch.randn(4, 32, generator=torch.Generator().manual_seed(seed))


def test_scores_are_negative_distances_of_the_premise_carried_by_the_words(encoder):
    head = _EncodedLabels(encoder, WORDS)
    p, h = vectors(0), vectors(1)
    labels = torch.stack([encoder.encode([word])[0] for word in WORDS])
    expected = torch.stack([-cosine_distance(h, p * label) for label in labels], dim=1)
    with torch.no_grad():
        assert torch.allclose(head.train()(p, h), expected, atol=1e-5)
    head.update()
    with torch.no_grad():
        assert torch.allclose(head.eval()(p, h), expected, atol=1e-5)


def test_training_moves_the_words_and_evaluation_uses_the_stored_vectors(encoder):
    head = _EncodedLabels(encoder, WORDS)
    head.update()
    before = head.label_vectors.clone()
    n_forwards = encoder.n_forwards
    head.train()(vectors(0), vectors(1)).sum().backward()
    assert encoder.n_forwards == n_forwards + len(WORDS)
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())
    assert torch.equal(head.label_vectors, before)
    with torch.no_grad():
        head.eval()(vectors(0), vectors(1))
    assert encoder.n_forwards == n_forwards + len(WORDS)


def test_the_words_count_where_an_add_on_asks_which_weights_matter(encoder):
    # Fisher information is that of an evaluating model, with gradients.
    head = _EncodedLabels(encoder, WORDS).eval()
    head(vectors(0), vectors(1)).sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


def test_the_encoder_is_not_a_part_of_the_head_and_a_copy_has_its_own(encoder):
    model = PairModel(encoder, _EncodedLabels(encoder, WORDS), joined=None)
    assert list(model.head.parameters()) == []
    assert list(model.head.state_dict()) == ["label_vectors"]
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in twin.encoder.parameters():
            parameter.zero_()
    twin.head.update()
    model.head.update()
    assert twin.head.label_vectors.abs().max() == 0
    assert model.head.label_vectors.abs().max() > 0


def test_the_stored_vectors_are_those_of_the_trained_encoder(toy, tiny_encoder_folder, tmp_path, encoder):
    result, _, tensors = one_seed(
        toy, tiny_encoder_folder, tmp_path, "text_labels", settings={"steps": "5"}, curve=False, audit=False
    )
    assert list(tensors["label_vectors"].shape) == [3, 32]
    assert result.cost.stored_bytes == 3 * 32 * 4
    untrained = encoder.encode(["entailment", "neutral", "contradiction"])
    assert not torch.allclose(tensors["label_vectors"], untrained, atol=1e-3)
    # 5 steps of 16 pairs and 3 words.
    cost = result.cost
    assert cost.encoder_forwards - cost.encoder_forwards_evaluation >= 5 * (32 + 3)


def test_words_are_parted_at_slashes():
    assert split_words(" it is true/maybe / it is false ") == ["it is true", "maybe", "it is false"]


@pytest.mark.parametrize("words", ["yes/no/no", "yes//no", "yes,maybe,no"])
def test_words_must_be_different_ones(words):
    with pytest.raises(SettingError) as error:
        parse_settings(load_strategy("text_labels"), {"words": words})
    assert str(error.value) == (
        f"--set words={words}: expected different words or phrases with / between, one for each label"
    )
