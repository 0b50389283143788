"""Frozen lower layers, computed once, and batches cut into parts of like length."""

import copy

import pytest
import torch
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel, RobertaConfig, RobertaModel

from contsym.errors import SettingError
from contsym.models.encoders import batching, checkpoints
from contsym.models.encoders.batching import cheapest_parts, select_rows
from contsym.models.encoders.freezing import FrozenPart, is_freezable, n_frozen_layers, parts_of
from contsym.models.encoders.load import load
from contsym.strategies.catalog import find_strategy
from contsym.training.plan import check_freeze
from tests.models.encoders.families import save_family

TEXTS = [
    "oslo borders bergen",
    "bergen",
    "lund is the capital of oslo and of bergen",
    "",
    "bergen borders oslo",
]
SMALL = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 3,
    "intermediate_size": 64,
}


@pytest.fixture
def encoder(tiny_encoder_folder):
    return load(checkpoints.locate(str(tiny_encoder_folder)))


def without_dropout(encoder):
    """Training mode in which nothing is random, so that two ways can be compared."""
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return encoder.train()


@pytest.mark.parametrize(
    ("value", "is_one", "n"),
    [("nothing", True, None), ("embeddings", True, 0), ("layers:1", True, 1), ("layers:12", True, 12)]
    + [
        (bad, False, None)
        for bad in ("layers:0", "layers:", "layers:-1", "layers:1.5", "all", "", "layers:1 ")
    ],
)
def test_what_can_be_frozen(value, is_one, n):
    assert is_freezable(value) == is_one
    if is_one:
        assert n_frozen_layers(value) == n


@pytest.mark.parametrize(
    ("build", "config", "options"),
    [
        (BertModel, BertConfig, SMALL),
        (RobertaModel, RobertaConfig, SMALL | {"pad_token_id": 1, "max_position_embeddings": 40}),
        (DistilBertModel, DistilBertConfig, {"vocab_size": 40, "dim": 32, "n_heads": 2, "n_layers": 3, "hidden_dim": 64}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("n_layers", [0, 1, 2])
def test_lower_and_upper_part_are_the_transformer(build, config, options, n_layers):
    torch.manual_seed(0)
    model = build(config(**options)).eval()
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    batch = {"input_ids": torch.tensor([[5, 6, 7, 8, 9], [9, 8, 7, 1, 1]]), "attention_mask": mask}
    expected = model(**batch).last_hidden_state[mask.bool()]
    frozen = FrozenPart(model, n_layers)
    torch.testing.assert_close(frozen(batch)[mask.bool()], expected)
    # The second time reads the cache.
    torch.testing.assert_close(frozen(batch)[mask.bool()], expected)


def test_cached_states_fit_any_padding(encoder):
    encoder.eval()
    whole = encoder(encoder.tokenize(TEXTS))
    encoder.freeze("layers:1")
    frozen = encoder._frozen
    encoder(encoder.tokenize(TEXTS[:3]))
    n_bytes = frozen._cache.n_bytes
    assert n_bytes == sum(state.nbytes for state in frozen._cache.values()) > 0
    alone = torch.cat([encoder(encoder.tokenize([text])) for text in TEXTS[:3]])
    assert frozen._cache.n_bytes == n_bytes, "cached states are not computed again"
    torch.testing.assert_close(alone, whole[:3])
    torch.testing.assert_close(encoder(encoder.tokenize(TEXTS)), whole)


def test_beyond_the_bound_states_are_computed_each_time(encoder, monkeypatch):
    monkeypatch.setattr("contsym.models.encoders.freezing.STATES_BYTES", 1)
    encoder.eval()
    whole = encoder(encoder.tokenize(TEXTS))
    encoder.freeze("layers:1")
    torch.testing.assert_close(encoder(encoder.tokenize(TEXTS)), whole)
    assert len(encoder._frozen._cache) == 0


def test_two_pairs_of_the_same_ids_differ_by_their_types(encoder):
    encoder.eval()
    # [CLS] a [SEP] b [SEP] has the ids of the one text "a [SEP] b", and other types.
    pair, text = ("oslo", "bergen"), "oslo [SEP] bergen"
    one, other = encoder.tokenize([pair]), encoder.tokenize([text])
    assert one["input_ids"].tolist() == other["input_ids"].tolist()
    expected = encoder(one), encoder(other)
    encoder.freeze("layers:1")
    torch.testing.assert_close(encoder(one), expected[0])
    torch.testing.assert_close(encoder(other), expected[1])


@pytest.mark.parametrize("what", ["embeddings", "layers:1"])
def test_what_is_frozen_stays_and_the_rest_learns(encoder, what):
    embeddings, layers, _ = parts_of(encoder.transformer)
    encoder.freeze(what)
    encoder.train()
    frozen = [embeddings, *layers[: n_frozen_layers(what)]]
    before = copy.deepcopy([module.state_dict() for module in frozen])
    top = layers[-1].state_dict()["output.dense.weight"].clone()
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.1, weight_decay=0.5)
    # An evaluation in between keeps states that training then reads.
    encoder.encode(TEXTS)
    encoder.train()
    encoder(encoder.tokenize(TEXTS)).square().sum().backward()
    optimizer.step()
    for module, state in zip(frozen, before, strict=True):
        assert not module.training
        for name, tensor in module.state_dict().items():
            assert torch.equal(tensor, state[name])
    assert not torch.equal(layers[-1].state_dict()["output.dense.weight"], top)


def test_a_copy_of_the_model_has_its_own_upper_layers_and_shares_the_cache(encoder):
    encoder.freeze("layers:1")
    encoder.eval()
    encoder(encoder.tokenize(TEXTS))
    other = copy.deepcopy(encoder)
    assert other._frozen._cache is encoder._frozen._cache
    with torch.no_grad():
        parts_of(other.transformer)[1][-1].output.dense.weight.zero_()
    changed, same = other(other.tokenize(TEXTS)), encoder(encoder.tokenize(TEXTS))
    assert not torch.allclose(changed, same)


def test_a_transformer_of_another_build_is_refused():
    with pytest.raises(SettingError, match="--freeze: Linear is not built as BERT is"):
        parts_of(torch.nn.Linear(2, 2))


def test_a_strategy_that_trains_no_encoder_has_nothing_to_freeze():
    with pytest.raises(SettingError) as error:
        check_freeze("layers:2", find_strategy("ridge"), "minilm", 6)
    assert str(error.value) == (
        "--freeze layers:2: strategy ridge trains nothing and leaves the encoder as it is; leave --freeze out"
    )
    check_freeze("nothing", find_strategy("ridge"), "minilm", 6)


def test_one_layer_at_least_is_trained():
    check_freeze("layers:5", find_strategy("knn_fixed+ewc"), "minilm", 6)
    with pytest.raises(SettingError) as error:
        check_freeze("layers:6", find_strategy("knn_fixed"), "minilm", 6)
    assert str(error.value) == (
        "--freeze layers:6: encoder minilm has 6 layers, and one at least must be trained; expected "
        "embeddings, or layers:1 to layers:5"
    )


# -- Parts of like length --


def cost_of(parts, lengths):
    return sum(len(part) * max(lengths[i] for i in part) + batching.PART_TOKENS for part in parts)


@pytest.mark.parametrize("lengths", [[5], [7, 7, 7], [3, 90, 4, 80, 5], list(range(1, 12)), [128, 1] * 5])
def test_the_parts_are_the_cheapest_of_all_cuts(lengths, monkeypatch):
    monkeypatch.setattr(batching, "PART_TOKENS", 20)
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    best = None
    for cuts in range(2 ** (len(order) - 1)):
        parts = [[order[0]]]
        for place, i in enumerate(order[1:]):
            if cuts >> place & 1:
                parts.append([])
            parts[-1].append(i)
        cost = cost_of(parts, lengths)
        best = cost if best is None else min(best, cost)
    found = cheapest_parts(lengths)
    assert sorted(i for part in found for i in part) == list(range(len(lengths)))
    assert cost_of(found, lengths) == best


def test_texts_of_one_length_stay_together():
    assert cheapest_parts([9] * 32) == [list(range(32))]


def test_rows_are_no_longer_than_they_need(encoder):
    batch = encoder.tokenize(TEXTS)
    part = select_rows(batch, [1, 3])
    assert part["input_ids"].shape[1] < batch["input_ids"].shape[1]
    assert part["input_ids"].tolist() == encoder.tokenize([TEXTS[1], TEXTS[3]])["input_ids"].tolist()


def test_in_parts_a_batch_has_the_same_vectors_and_gradients(encoder, monkeypatch):
    without_dropout(encoder)
    batch, gradients, vectors = encoder.tokenize(TEXTS), [], []
    for part_tokens in (10**6, 1):
        monkeypatch.setattr(batching, "PART_TOKENS", part_tokens)
        assert len(cheapest_parts(batch["attention_mask"].sum(dim=1).tolist())) == (
            1 if part_tokens > 1 else 4
        )
        encoder.zero_grad()
        vectors.append(encoder(batch))
        vectors[-1].square().sum().backward()
        gradients.append({n: p.grad.clone() for n, p in encoder.named_parameters() if p.grad is not None})
    torch.testing.assert_close(vectors[0], vectors[1])
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-6)


# -- Texts of no token at all --


@pytest.fixture
def bare(encoder):
    """An encoder whose tokenizer puts no special tokens around a text, so that an empty one has none."""
    from tokenizers.processors import Sequence

    encoder.tokenizer.backend_tokenizer.post_processor = Sequence([])
    assert encoder.tokenizer("")["input_ids"] == []
    return encoder


@pytest.mark.parametrize("what", ["nothing", "embeddings", "layers:1"])
def test_a_text_without_tokens_is_the_zero_vector_and_disturbs_no_other(bare, what):
    bare.freeze(what)
    alone, both = bare.encode(["oslo"]), bare.encode(["", "oslo"])
    assert bare.encode([""]).tolist() == [[0.0] * bare.dim]
    assert both[0].tolist() == [0.0] * bare.dim
    torch.testing.assert_close(both[1:], alone)


def test_a_part_of_a_training_batch_may_hold_texts_without_tokens_alone(bare, monkeypatch):
    without_dropout(bare)
    texts, found = ["", "oslo borders bergen"], []
    for part_tokens in (10**6, 1):
        monkeypatch.setattr(batching, "PART_TOKENS", part_tokens)
        bare.zero_grad()
        found.append(bare(bare.tokenize(texts)))
        found[-1].square().sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in bare.parameters())
    assert len(cheapest_parts([0, 19])) == 2
    torch.testing.assert_close(found[0], found[1])
    assert found[1][0].tolist() == [0.0] * bare.dim


def test_a_layer_between_the_layers_is_never_left_out(tmp_path):
    # DeBERTa's convolution stands behind the first layer: the upper part would apply it to its own first layer.
    folder = save_family(tmp_path / "deberta", "deberta-v2", conv_kernel_size=3, conv_act="gelu")
    encoder = load(checkpoints.locate(str(folder)))
    with pytest.raises(SettingError) as error:
        encoder.freeze("layers:1")
    assert str(error.value) == (
        "--freeze: DebertaV2Model is not built as BERT is, with embeddings below a list of layers; leave --freeze "
        "out, or take another encoder"
    )
