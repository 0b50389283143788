"""The kinds of encoders that people use, each by a tiny checkpoint with random weights."""

import json
import shutil

import pytest
import torch
from click.testing import CliRunner
from transformers import AutoModel, AutoModelForSequenceClassification

from contsym.cli import cli
from contsym.errors import EncoderError, SettingError
from contsym.models.encoders import checkpoints, weights
from contsym.models.encoders import load as encoders_load
from contsym.models.encoders.resolve import check, with_pooling
from contsym.training.plan import prepare
from tests.models.encoders.families import BART, BERT, DECODERS, FAMILIES, save_family
from tests.runs import toy_config, toy_run
from tests.strategy_settings import fast_and_slow
from tests.toy import both_tasks

AS_BERT = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "mpnet", "deberta-v2")
UNLIKE = ("bert", "roberta", "mpnet", "distilbert", "deberta-v2", "albert", "t5", "gpt2", "llama")
"""Kinds whose positions or layers differ; the others are built as one of these."""
LONG = "anna is near ben " * 40
TEXTS = ["anna is near ben", "ben", "carl is a child of dora and emil", "", LONG, ("anna", "ben is near")]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return both_tasks(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a family by its name, made once."""
    folders = {}

    def make(kind):
        if kind not in folders:
            folders[kind] = save_family(tmp_path_factory.mktemp("families") / kind, kind)
        return folders[kind]

    return make


def load(folder, pooling="auto"):
    return encoders_load.load(with_pooling(checkpoints.locate(str(folder)), pooling))


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_text_has_its_vector_whatever_is_beside_it_and_its_loss_reaches_the_body(kind, made):
    encoder = load(made(kind))
    assert encoder.pooling.modes == (("last",) if kind in DECODERS else ("mean",))
    together = encoder.encode(TEXTS)
    alone = torch.cat([encoder.encode([text]) for text in TEXTS])
    # Padding changes the order of summation, no more.
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert together.std(dim=0).mean() > 0.1
    encoder.train()
    encoder(encoder.tokenize(TEXTS)).square().sum().backward()
    gradients = {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    # Of what a vector is not made of, a pooler and XLNet's memory, there are few.
    assert len(gradients) > 0.8 * len(list(encoder.parameters()))
    assert encoder.transformer.get_input_embeddings().weight.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", fast_and_slow(FAMILIES, UNLIKE, []))
def test_a_text_beyond_the_limit_is_cut(kind, made):
    encoder = load(made(kind))
    n = encoder.max_length
    # 64 positions, of which these never use the first ones.
    lost = {"roberta": 1, "xlm-roberta": 1, "camembert": 1, "mpnet": 2}.get(kind, 0)
    assert n == 64 - lost
    assert encoder.tokenize([LONG])["input_ids"].shape == (1, n)
    assert torch.equal(encoder.encode([LONG]), encoder.encode([LONG + LONG]))


@pytest.mark.parametrize("kind", fast_and_slow(FAMILIES, UNLIKE, []))
@pytest.mark.parametrize("what", ["embeddings", "layers:1"])
def test_what_is_frozen_is_the_same_encoder_or_is_refused(kind, what, made):
    encoder = load(made(kind))
    expected = encoder.encode(TEXTS)
    if kind not in AS_BERT or (kind, what) == ("deberta-v2", "embeddings"):
        with pytest.raises(
            SettingError, match="is not built as BERT is, with embeddings below a list of layers; leave"
        ):
            encoder.freeze(what)
        return
    encoder.freeze(what)
    torch.testing.assert_close(encoder.encode(TEXTS), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "kind",
    fast_and_slow(["albert", "modernbert", "t5", "bart", "gpt2", "qwen3", "opt"], ["gpt2"], ["albert", "t5"]),
)
def test_a_run_ends(kind, made, toy, tmp_path):
    for strategy, settings in (
        ("ncm", {}),
        ("knn_fixed", {"steps": "2"}),
        ("fine_tune", {"steps": "2", "head": "cross"}),
    ):
        given = {"settings": settings} if settings else {"settings": {"steps": "1"}}
        result, _, _ = toy_run(toy, made(kind), tmp_path, strategy, "wikidata_only", shots=8, **given)
        assert result.pooling.modes == (["last"] if kind in DECODERS else ["mean"])
        assert 0 <= result.final_macro <= 1


def test_a_frozen_layer_too_many_is_refused_where_the_config_calls_layers_otherwise(made, toy, tmp_path):
    with pytest.raises(
        SettingError, match="has 2 layers, and one at least must be trained; expected embeddings, or"
    ):
        prepare(toy_config(toy, made("distilbert"), tmp_path, "fine_tune", settings={"freeze": "layers:2"}))


@pytest.mark.parametrize("kind", ["bart", "llama", "distilbert"])
def test_an_nli_head_of_any_kind_predicts(kind, tmp_path):
    names = ("contradiction", "neutral", "entailment")
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    folder = save_family(tmp_path / kind, kind, AutoModelForSequenceClassification, **labels)
    head = encoders_load.load(checkpoints.locate(str(folder)), head="nli")
    pairs = [("anna is near ben", "ben"), ("ben", "carl is a child of dora and emil")]
    together = head.encode(pairs)
    assert together.shape == (2, 3)
    torch.testing.assert_close(
        together, torch.cat([head.encode([pair]) for pair in pairs]), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize(("pad", "in_config"), [("[PAD]", 5), (None, None), (None, 5)])
def test_the_head_of_a_decoder_finds_the_last_token_whatever_pads(pad, in_config, tmp_path):
    names = dict(enumerate(("contradiction", "neutral", "entailment")))
    folder = save_family(tmp_path / "gpt2", "gpt2", AutoModelForSequenceClassification, id2label=names)
    for name, changes in (
        ("config.json", {"pad_token_id": in_config}),
        ("tokenizer_config.json", {"pad_token": pad, "eos_token": "[SEP]"}),
    ):
        found = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**found, **changes}))
    head = encoders_load.load(checkpoints.locate(str(folder)), head="nli").eval()
    # The second ends with token 0, which without a token for padding is a word like any other.
    pairs = [("carl is a child of dora", "emil is near"), ("ben", "near [PAD]"), ("ben", "a")]
    for pair, logits in zip(pairs, head.encode(pairs), strict=True):
        ids = torch.tensor([head.tokenizer(*pair)["input_ids"]])
        with torch.inference_mode():
            states = head.transformer.transformer(input_ids=ids).last_hidden_state[0]
            last = states[-1 if pad is None or ids[0, -1] else -2]
            torch.testing.assert_close(logits, head.transformer.score(last)[[2, 1, 0]], atol=1e-5, rtol=1e-4)


def test_a_config_that_asks_for_tuples_is_an_encoder_like_any_other(made, tmp_path):
    folder = shutil.copytree(made("bert"), tmp_path / "tuples")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "return_dict": False}))
    assert torch.equal(load(folder).encode(["ben"]), load(made("bert")).encode(["ben"]))


def test_a_last_token_does_not_see_what_comes_after_it_and_a_mean_is_an_option(made):
    encoder, mean = load(made("gpt2")), load(made("gpt2"), "mean")
    ids = encoder.tokenize(["anna is near"])
    with torch.inference_mode():
        states = encoder.transformer(**ids).last_hidden_state[0]
    torch.testing.assert_close(encoder.encode(["anna is near"])[0], states[-1])
    torch.testing.assert_close(mean.encode(["anna is near"])[0], states.mean(dim=0))


@pytest.mark.parametrize(
    ("kind", "sizes", "message"),
    [
        (
            "clip",
            {},
            r": CLIPModel names no width of its states \(hidden_size\) in config\.json; expected a text encoder$",
        ),
        (
            "vit",
            {"hidden_size": 32},
            r": ViTModel takes no input_ids; expected a text encoder$",
        ),
        ("fnet", {"hidden_size": 32}, r": FNetModel takes no attention_mask; expected a text encoder$"),
    ],
)
def test_what_reads_no_texts_is_refused_before_training(kind, sizes, message, tmp_path, tiny_encoder_folder):
    from transformers import CONFIG_MAPPING

    small = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "hidden_size": 32}
    if kind == "clip":
        sizes = {"text_config": {**small, "vocab_size": 120}, "vision_config": small, "projection_dim": 16}
    else:
        sizes = {**small, "vocab_size": 120, **sizes}
    folder = tmp_path / kind
    AutoModel.from_config(CONFIG_MAPPING[kind](**sizes)).save_pretrained(folder)
    for path in tiny_encoder_folder.glob("tokenizer*"):
        (folder / path.name).write_bytes(path.read_bytes())
    with pytest.raises(EncoderError, match=message):
        check(checkpoints.locate(str(folder)), "none")


@pytest.mark.parametrize(
    ("kind", "sizes", "message"),
    [
        (
            "convbert",
            {**BERT, "embedding_size": 32},
            "ConvBertModel encodes a text otherwise beside a longer one, because it reads the padding; expected an encoder "
            "that leaves padding out",
        ),
        ("fsmt", {**BART, "langs": ["en", "de"]}, "FSMTEncoder has no config; expected a text encoder"),
    ],
)
def test_what_reads_padding_or_has_no_config_is_refused(kind, sizes, message, tmp_path, monkeypatch):
    monkeypatch.setitem(FAMILIES, kind, sizes)
    folder = save_family(tmp_path / kind, kind)
    with pytest.raises(EncoderError) as error:
        load(folder)
    assert str(error.value) == f"{folder}: {message}"


def test_a_head_that_reads_the_last_place_is_refused_where_that_is_padding(tmp_path):
    names = dict(enumerate(("contradiction", "neutral", "entailment")))
    folder = save_family(tmp_path / "xlnet", "xlnet", AutoModelForSequenceClassification, id2label=names)
    with pytest.raises(
        EncoderError, match="XLNetForSequenceClassification encodes a text otherwise beside a lon"
    ):
        encoders_load.load(checkpoints.locate(str(folder)), head="nli")


def test_what_cannot_encode_after_all_is_one_line(made, monkeypatch):
    def broken(*args, **kwargs):
        raise IndexError("index out of range in self")

    monkeypatch.setattr("transformers.models.bert.modeling_bert.BertModel.forward", broken)
    with pytest.raises(EncoderError) as error:
        load(made("bert"))
    assert str(error.value) == (
        f"{made('bert')}: BertModel cannot encode a text (IndexError: index out of range in self); expected a text encoder"
    )


def test_a_minimal_config_has_the_positions_of_its_kind(made, tmp_path):
    config = json.loads((made("roberta") / "config.json").read_text())
    del config["max_position_embeddings"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    # RoBERTa's 512, less those up to padding_idx 0.
    assert weights.n_positions(weights.model_config(tmp_path)) == 511


@pytest.mark.parametrize("kind", ["t5", "gpt2", "bart"])
def test_what_pretrain_makes_of_any_kind_is_read_again_or_refused_before_training(kind, made, toy, tmp_path):
    out = tmp_path / "made"
    arguments = ["pretrain", "--mnli", toy["mnli"], "--encoder", str(made(kind)), "--to", str(out)]
    arguments += ["--set", "steps=3", "--precision", "fp32", "--device", "cpu", "--output", str(tmp_path)]
    done = CliRunner().invoke(cli, arguments)
    if kind == "bart":
        assert str(done.exception) == (
            f"encoder {made(kind)}: half of a sequence-to-sequence model, which cannot be kept as a checkpoint; "
            "expected an encoder, a decoder-only model or a T5"
        )
        return
    assert done.exit_code == 0, done.exception
    result, _, _ = toy_run(toy, out, tmp_path, "nli_head", settings={"steps": "1"})
    assert result.matrix[0][0] == json.loads((out / "contsym.json").read_text())["accuracy"]["mnli"]


@pytest.mark.parametrize("kind", ["t5", "gpt2", "mpnet"])
def test_a_difference_to_any_kind_is_the_encoder_that_was_trained(kind, made, toy, tmp_path):
    for name, more in (("full", []), ("small", ["--difference"])):
        arguments = [
            "pretrain",
            "--mnli",
            toy["mnli"],
            "--encoder",
            str(made(kind)),
            "--to",
            str(tmp_path / name),
        ]
        arguments += ["--set", "steps=3", "--set", "lora=2", "--set", "learning_rate=0.1", *more]
        arguments += ["--precision", "fp32", "--device", "cpu", "--output", str(tmp_path)]
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 0, done.exception
    full, small, base = (
        load(folder).encode(["anna is near ben"])
        for folder in (tmp_path / "full", tmp_path / "small", made(kind))
    )
    assert torch.equal(full, small)
    assert not torch.allclose(base, small, atol=1e-3)


def test_a_sequence_to_sequence_nli_head_cannot_be_retrained(toy, tmp_path):
    names = ("contradiction", "neutral", "entailment")
    folder = save_family(
        tmp_path / "bart", "bart", AutoModelForSequenceClassification, id2label=dict(enumerate(names))
    )
    with pytest.raises(
        SettingError, match="is a sequence-to-sequence classifier, whose encoder alone is retrained"
    ):
        prepare(toy_config(toy, folder, tmp_path / "out", "knn_fixed", protocol="retrain"))
