"""A checkpoint whose weights, tokenizer or files do not fit together ends in one line before any training.

Over 400 lines: each way in which they may not fit, and the checkpoints beside it that must load.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BertForMaskedLM

from contsym.cli import main
from contsym.data.shards import missing_shards
from contsym.errors import ContsymError, EncoderError
from contsym.models.encoders import checkpoints, weights
from contsym.models.encoders.load import load
from contsym.models.encoders.resolve import check
from contsym.training.plan import prepare
from tests.models.encoders.families import save_family
from tests.runs import toy_config, toy_run
from tests.toy import both_tasks

WORDS = "embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return both_tasks(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def copy(tmp_path):
    """A copy of a checkpoint with other weights, `change` of those it has."""

    def make(folder, change=lambda weights: weights):
        new = tmp_path / "checkpoint"
        shutil.copytree(folder, new)
        save_file(
            change(load_file(folder / "model.safetensors")), new / "model.safetensors", {"format": "pt"}
        )
        return new

    return make


def refused(folder, head="none"):
    """The one line, which the look at the names says as the load does."""
    messages = []
    for use in (check, lambda files, head: load(files, head=head)):
        with pytest.raises(EncoderError) as error:
            use(checkpoints.locate(str(folder)), head)
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    assert "\n" not in messages[0]
    return messages[0].replace(str(folder), "FOLDER")


EXPECTED = "expected a checkpoint with all of them, as save_pretrained writes it"


def test_weights_under_a_prefix_are_missing_and_the_prefix_is_named(tiny_encoder_folder, copy):
    folder = copy(tiny_encoder_folder, lambda weights: {f"module.{name}": t for name, t in weights.items()})
    assert refused(folder) == (
        "FOLDER: 37 weights are not in its files as BertModel needs them, such as embeddings.LayerNorm.bias (found as "
        f"module.embeddings.LayerNorm.bias, under a prefix that BertModel does not have); {EXPECTED}"
    )


def test_the_prefix_of_the_models_own_kind_is_known(tiny_encoder_folder, copy):
    folder = copy(tiny_encoder_folder, lambda weights: {f"bert.{name}": t for name, t in weights.items()})
    whole = load(checkpoints.locate(str(tiny_encoder_folder)))
    torch.testing.assert_close(load(checkpoints.locate(str(folder))).encode(["a"]), whole.encode(["a"]))


def test_one_weight_too_few_is_named(tiny_encoder_folder, copy):
    folder = copy(tiny_encoder_folder, lambda weights: {n: t for n, t in weights.items() if n != WORDS})
    assert refused(folder) == (
        f"FOLDER: a weight is not in its files as BertModel needs them, such as {WORDS} (missing); {EXPECTED}"
    )


def test_a_weight_of_another_shape_is_named_with_both(tiny_encoder_folder, copy):
    folder = copy(tiny_encoder_folder, lambda weights: {**weights, WORDS: weights[WORDS][:50].clone()})
    assert refused(folder) == (
        f"FOLDER: a weight is not in its files as BertModel needs them, such as {WORDS} (of shape (50, 32), where "
        f"config.json says (107, 32)); {EXPECTED}"
    )


@pytest.mark.parametrize(
    "change", [lambda name: None if "layers.1" in name else name, lambda name: f"module.{name}"]
)
def test_weights_of_a_body_that_is_called_decoder_are_missed(change, tmp_path, copy):
    saved = save_family(tmp_path / "opt", "opt")
    folder = copy(saved, lambda weights: {change(name): t for name, t in weights.items() if change(name)})
    assert "weights are not in its files as OPTModel needs them, such as decoder." in refused(folder)


LAYER = "encoder.layer.1.attention.self"


@pytest.mark.parametrize(
    ("change", "n"),
    [
        ({"num_hidden_layers": 1}, 8),
        ({f"{LAYER}.query.lora_A.weight": (2, 32), f"{LAYER}.query.lora_B.weight": (32, 2)}, 2),
        # Of relative positions, which transformers has no more.
        ({f"{LAYER}.distance_embedding.weight": (127, 16)}, 1),
    ],
)
@pytest.mark.parametrize("prefix", ["", "bert."])
def test_weights_of_layers_are_never_left_out_in_silence(change, n, prefix, tmp_path, copy):
    more = {f"{prefix}{name}": torch.zeros(shape) for name, shape in change.items() if LAYER in name}
    head = {"classifier.0.weight": torch.zeros(2, 2), f"{prefix}encoder.layer.1.attn.bias": torch.zeros(2)}

    def changed(weights):
        return {f"{prefix}{name}": t for name, t in weights.items()} | more | head

    folder = copy(save_family(tmp_path / "bert", "bert"), changed)
    if not more:
        edit(folder, "config.json", **change)
    message = refused(folder)
    assert message.startswith(
        f"FOLDER: {n} weights are in its files" if n > 1 else "FOLDER: a weight is in its"
    )
    assert "BertModel with this config.json has no place for, such as" in message
    assert "encoder.layer.1.attention." in message


def test_a_damaged_file_says_what_to_do(tiny_encoder_folder, copy):
    folder = copy(tiny_encoder_folder)
    whole = (folder / "model.safetensors").read_bytes()
    for content in (
        whole[: len(whole) // 2],
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
        b"",
    ):
        (folder / "model.safetensors").write_bytes(content)
        assert refused(folder).endswith(
            "; expected whole files: copy or download them again (in a git clone: git lfs pull)"
        )


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer_config.json", "1_Pooling/config.json"])
def test_a_link_to_nothing_is_a_missing_file(name, tiny_encoder_folder, tmp_path):
    folder = Path(shutil.copytree(tiny_encoder_folder, tmp_path / "snapshot"))
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).unlink(missing_ok=True)
    (folder / "pytorch_model.bin").symlink_to("../blobs/0")  # nothing reads it
    checkpoints.locate(str(folder)) if name != "model.safetensors" else None
    (folder / name).symlink_to("../blobs/1")
    with pytest.raises(EncoderError) as error:
        checkpoints.locate(str(folder))
    assert str(error.value) == (
        f"{folder}: the checkpoint is not whole; 1 of its files are missing: {name}; copy or download all of them"
    )


def test_weights_that_are_no_numbers_are_refused_before_training(tiny_encoder_folder, copy):
    folder = copy(tiny_encoder_folder, lambda weights: {n: t * float("nan") for n, t in weights.items()})
    with pytest.raises(EncoderError, match=r"BertModel encodes a text to values that are not finite \(NaN\)"):
        load(checkpoints.locate(str(folder)))


def test_an_adapter_beside_the_weights_is_never_left_out_in_silence(tiny_encoder_folder, tmp_path):
    folder = Path(shutil.copytree(tiny_encoder_folder, tmp_path / "adapted"))
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(
        EncoderError, match=r"has adapter_config\.json, and contsym applies no adapter; expected .*merged"
    ):
        checkpoints.locate(str(folder))


def test_code_of_its_own_that_is_not_run_is_said(tiny_encoder_folder, tmp_path):
    folder = Path(shutil.copytree(tiny_encoder_folder, tmp_path / "own"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps({**config, "auto_map": {"AutoModel": "modeling_two_way.TwoWay"}})
    )
    assert checkpoints.locate(str(folder)).origin == "folder, without its own code modeling_two_way.TwoWay"


def test_a_shard_that_the_index_does_not_name_is_not_missed(tmp_path):
    for name in ("model-00001-of-00001.safetensors", "model-00003-of-00003.safetensors"):
        (tmp_path / name).touch()
    index = {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert missing_shards(tmp_path) == []


def test_a_pooler_is_not_missed(tiny_encoder_folder, copy):
    folder = copy(
        tiny_encoder_folder, lambda weights: {n: t for n, t in weights.items() if "pooler" not in n}
    )
    whole = load(checkpoints.locate(str(tiny_encoder_folder)))
    assert torch.equal(load(checkpoints.locate(str(folder))).encode(["a"]), whole.encode(["a"]))


def test_a_missing_head_is_refused(tiny_nli_folder, copy):
    folder = copy(
        tiny_nli_folder, lambda weights: {n: t for n, t in weights.items() if "classifier" not in n}
    )
    assert refused(folder, "nli") == (
        "FOLDER: 2 weights are not in its files as BertForSequenceClassification needs them, such as classifier.bias "
        f"(missing); {EXPECTED}"
    )
    assert load(checkpoints.locate(str(folder))).dim == 32


def test_a_masked_lm_head_is_there_or_not_and_never_half(tiny_masked_lm_folder, copy, tmp_path):
    def without(*names):
        return lambda weights: {n: t for n, t in weights.items() if not n.startswith(names)}

    folder = copy(tiny_masked_lm_folder, without("cls.predictions.transform"))
    assert "such as cls.predictions.transform.LayerNorm.bias (missing)" in refused(folder, "masked_lm")
    shutil.rmtree(folder)
    folder = copy(tiny_masked_lm_folder, without("cls."))
    assert load(checkpoints.locate(str(folder)), head="masked_lm").is_tied
    shutil.rmtree(folder)
    folder = copy(tiny_masked_lm_folder, without("cls.", "bert.embeddings.word"))
    assert "such as bert.embeddings.word_embeddings.weight (missing)" in refused(folder, "masked_lm")


def test_a_language_models_head_is_missed_where_it_is_not_tied(tmp_path, copy):
    saved = save_family(tmp_path / "llama", "llama", AutoModelForCausalLM, tie_word_embeddings=False)
    folder = copy(saved, lambda weights: {n: t for n, t in weights.items() if n != "lm_head.weight"})
    assert "LlamaForCausalLM needs them, such as lm_head.weight (missing)" in refused(
        folder, "language_model"
    )
    tied = save_family(tmp_path / "gpt2", "gpt2", AutoModelForCausalLM)
    assert "lm_head.weight" not in load_file(tied / "model.safetensors")
    assert load(checkpoints.locate(str(tied)), head="language_model").dim == 32


def test_a_run_ends_with_code_2_and_the_line_alone(
    toy, tiny_encoder_folder, copy, tmp_path, monkeypatch, capsys
):
    folder = copy(tiny_encoder_folder, lambda weights: {n: t for n, t in weights.items() if n != WORDS})
    arguments = ["run", "--strategy", "ncm", "--scenario", "wikidata_only", "--wikidata", toy["wikidata"]]
    arguments += ["--encoder", str(folder), "--output", str(tmp_path / "out"), "--device", "cpu"]
    monkeypatch.setattr("sys.argv", ["contsym", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[-1].startswith(
        f"error: {folder}: a weight is not in its files as BertModel needs"
    )


def test_a_shard_too_few_is_named(tiny_encoder_folder, tmp_path):
    folder = tmp_path / "sharded"
    shutil.copytree(tiny_encoder_folder, folder)
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(EncoderError) as error:
        checkpoints.locate(str(folder))
    assert str(error.value) == (
        f"{folder}: the checkpoint is not whole; 1 of its files are missing: model-00002-of-00002.safetensors; "
        "copy or download all of them"
    )
    (folder / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(
        ContsymError, match=r"index\.json: not an index of weights; expected an object with a weight_map$"
    ):
        checkpoints.locate(str(folder))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"tf_model.h5": b""},
            "FOLDER: no *.safetensors; expected a transformers checkpoint with model.safetensors",
        ),
        ({}, "FOLDER: no *.safetensors; expected a transformers checkpoint with model.safetensors"),
        (
            {"pytorch_model.bin": b""},
            "FOLDER: no *.safetensors; contsym loads no pickled weights; convert them with "
            "save_pretrained(safe_serialization=True)",
        ),
        (
            {"checkpoint-9/model.safetensors": b"", "checkpoint-9/config.json": b"{}"},
            "FOLDER: no *.safetensors; the checkpoint is in FOLDER/checkpoint-9: give that folder",
        ),
        (
            {f"snapshots/c0ffee/{file}": b"{}" for file in ("model.safetensors", "config.json")},
            "FOLDER: no *.safetensors; the checkpoint is in FOLDER/snapshots/c0ffee: give that folder",
        ),
        (
            {f"{name}/{file}": b"{}" for name in "abcd" for file in ("model.safetensors", "config.json")},
            "FOLDER: no *.safetensors; 4 folders below have a checkpoint: FOLDER/a, FOLDER/b, FOLDER/c and 1 more; give one "
            "of them",
        ),
    ],
)
def test_a_folder_without_weights_says_what_it_has_in_their_place(files, message, tmp_path):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(EncoderError) as error:
        checkpoints.locate(str(tmp_path))
    assert str(error.value).replace(str(tmp_path), "FOLDER") == message


# -- Tokenizers --


def edit(folder, name, **changes):
    found = json.loads((folder / name).read_text())
    found = {key: value for key, value in {**found, **changes}.items() if value is not None}
    (folder / name).write_text(json.dumps(found))


def test_a_tokenizer_that_pads_with_nothing_pads_with_any_token(tiny_encoder_folder, copy):
    folder = copy(tiny_encoder_folder)
    whole = load(checkpoints.locate(str(folder))).encode(["anna is near ben", "ben"])
    edit(folder, "tokenizer_config.json", pad_token=None)
    encoder = load(checkpoints.locate(str(folder)))
    assert encoder.tokenizer.pad_token is None
    torch.testing.assert_close(encoder.encode(["anna is near ben", "ben"]), whole)


def test_a_tokenizer_of_a_larger_vocabulary_is_refused(tmp_path, copy):
    saved = save_family(tmp_path / "bert", "bert")
    folder = copy(saved, lambda weights: {**weights, WORDS: weights[WORDS][:60].clone()})
    edit(folder, "config.json", vocab_size=60)
    with pytest.raises(EncoderError) as error:
        check(checkpoints.locate(str(folder)), "none")
    assert str(error.value) == (
        f"{folder}: the tokenizer has tokens up to 106, and the embedding table has 60 rows; expected the tokenizer "
        "that the weights were trained with"
    )


def test_a_special_token_without_a_row_counts_where_a_text_has_it(tiny_encoder_folder, copy):
    from transformers import AutoTokenizer

    folder = copy(tiny_encoder_folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[END]", "eos_token": "[END]"})
    tokenizer.save_pretrained(folder)
    files = checkpoints.locate(str(folder))
    check(files, "none")
    encoder = load(files)
    assert encoder.encode(["anna", "anna is near"]).isfinite().all()
    with pytest.raises(EncoderError) as error:
        encoder.encode(["anna [END]"])
    assert str(error.value) == (
        "a text has the token '[END]', and the encoder's embedding table has no row for it; take it out"
    )


@pytest.mark.parametrize("kind", ["roberta", "distilbert", "gpt2", "t5"])
def test_token_types_that_a_model_has_no_row_for_are_not_given(kind, toy, tmp_path):
    folder = save_family(tmp_path / kind, kind, **({"type_vocab_size": 1} if kind == "roberta" else {}))
    # As BERT's tokenizer does.
    edit(folder, "tokenizer_config.json", model_input_names=["input_ids", "token_type_ids", "attention_mask"])
    encoder = load(checkpoints.locate(str(folder)))
    pair = ("anna is near", "ben")
    assert encoder.tokenizer(*pair)["token_type_ids"][-1] == 1
    given = encoder.tokenize([pair])
    # GPT-2 would look the types up among its words.
    assert given.get("token_type_ids", torch.zeros(1)).max() == 0
    assert ("token_type_ids" in given) == (kind == "roberta")
    result, _, _ = toy_run(
        toy, folder, tmp_path / "out", "fine_tune", "wikidata_only", settings={"head": "cross", "steps": "2"}
    )
    assert result.final_macro >= 0


@pytest.mark.parametrize("model_max_length", [64, 10**30])
def test_texts_are_cut_at_the_positions_that_are_used(model_max_length, toy, tmp_path):
    folder = save_family(tmp_path / "roberta", "roberta", pad_token_id=1)
    edit(folder, "tokenizer_config.json", model_max_length=model_max_length)
    plan = prepare(toy_config(toy, folder, tmp_path / "out", "ncm"))
    # Of 64 positions those of 0 and 1 are never used.
    assert plan.pooling.max_length == 62
    encoder = load(plan.encoder)
    assert encoder.tokenize(["anna " * 99])["attention_mask"].sum() == 62
    assert encoder.encode(["anna " * 99]).isfinite().all()


def test_the_side_that_a_tokenizer_pads_does_not_matter(tmp_path):
    # GPT-2 counts its positions from the first place, padded or not.
    folder = save_family(tmp_path / "gpt2", "gpt2")
    found = []
    for side in ("left", "right"):
        edit(folder, "tokenizer_config.json", padding_side=side)
        found.append(load(checkpoints.locate(str(folder))).encode(["anna is near ben", "ben"]))
    assert torch.equal(*found)


def test_the_side_that_a_tokenizer_cuts_is_kept_for_any_length(tiny_encoder_folder, copy):
    folder = copy(tiny_encoder_folder)
    edit(folder, "tokenizer_config.json", truncation_side="left")
    encoder = load(checkpoints.locate(str(folder)))
    for n in (99, 9999):
        ids = encoder.tokenize(["anna " + "near " * n + "carl"])["input_ids"][0]
        assert encoder.tokenizer.decode(ids) == f"[CLS]{' near' * 61} carl [SEP]"


def test_added_tokens_are_a_part_of_the_encoder(tiny_encoder_folder, copy):
    folder = copy(tiny_encoder_folder)
    before = checkpoints.locate(str(folder)).text_files_sha256
    (folder / "added_tokens.json").write_text('{"anna is": 107}')
    assert checkpoints.locate(str(folder)).text_files_sha256 != before


def test_a_tokenizer_of_sentencepiece_alone_names_its_package(tiny_encoder_folder, copy, monkeypatch):
    folder = copy(tiny_encoder_folder)
    (folder / "tokenizer.json").unlink()
    edit(folder, "tokenizer_config.json", tokenizer_class="T5Tokenizer")
    (folder / "spiece.model").write_bytes(b"")
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    assert refused(folder) == (
        "FOLDER: its tokenizer is spiece.model alone, which takes the package sentencepiece; install it (pip install "
        "sentencepiece), or save the tokenizer as tokenizer.json with transformers"
    )


def test_a_masked_lm_saved_whole_has_its_head(tiny_masked_lm_folder):
    model = load(checkpoints.locate(str(tiny_masked_lm_folder)), head="masked_lm")
    assert isinstance(model.transformer, BertForMaskedLM)
    assert not model.is_tied
