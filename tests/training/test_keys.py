"""A key is made of what decides a result, however it was asked for."""

import json
import shutil
from dataclasses import fields, replace
from pathlib import Path

import pytest

from contsym.config import RunConfig
from contsym.models.encoders.device import choose_precision
from contsym.plugins import Plugin, Plugins
from contsym.training.fingerprint import code_sha256, library_versions
from contsym.training.keys import code_of, key_of
from contsym.training.plan import prepare
from tests.runs import toy_config


@pytest.fixture
def key(toy, tiny_encoder_folder, tmp_path):
    """The key of seed 0 of a run that differs from a plain one in the given fields."""

    def made(**changes):
        plain = toy_config(toy, tiny_encoder_folder, tmp_path / "out", "knn_fixed", shots=8)
        sources = {**plain.sources, **changes.pop("sources", {})}
        without = changes.pop("without", ())
        settings = {name: value for name, value in plain.settings.items() if name not in without}
        settings |= changes.pop("settings", {})
        return key_of(prepare(replace(plain, sources=sources, settings=settings, **changes)), 0)

    return made


def test_spellings_and_defaults_do_not_count(key, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    plain = key()
    assert key(settings={"k": "3"}) == key(settings={"k": "03"}) == key(settings={"k": 3}) == plain
    assert key(settings={"learning_rate": "0.003"}) == plain
    # `steps` decides alone.
    assert key(settings={"epochs": "3", "min_steps": "7"}) == plain
    assert key(protocol="sequential", form="lexicalised", pooling="auto") == plain
    assert key(device="auto") == plain
    assert key(precision="auto") == key(precision=choose_precision("auto", "cpu"))


def test_the_code_of_contsym_decides_and_not_its_version(key, monkeypatch):
    plain = key()
    monkeypatch.setattr("contsym.__version__", "99.0")
    library_versions.cache_clear()
    try:
        assert library_versions()["contsym"] == "99.0"
        assert key() == plain
    finally:
        monkeypatch.undo()
        library_versions.cache_clear()


def test_code_of_contsym_that_a_plug_in_uses_is_in_its_key(toy, tiny_encoder_folder, tmp_path):
    plan = prepare(toy_config(toy, tiny_encoder_folder, tmp_path, "knn_fixed", shots=8))
    text = "def loss():\n    import contsym.models.losses\n"

    card = '"""Mine."""\nCARD = {"source": "none", "trains": "encoder", "stores": "nothing"}\n'

    def code(text):
        mine = Plugin("strategy", "mine", "mine.py", tmp_path / "mine.py", card + text)
        named = replace(plan, config=replace(plan.config, strategy="mine"), plugins=Plugins((mine,)))
        return code_of(named)

    alone = code_sha256("contsym.training.run")
    assert (code("import contsym"), code("import torch")) == (alone, alone)
    assert code(text) == code_sha256("contsym.training.run", "contsym.models.losses") != alone


def test_paths_do_not_count_but_what_lies_there(key, toy, tiny_encoder_folder, tmp_path, monkeypatch):
    plain = key()
    shutil.copytree(toy["wikidata"], tmp_path / "moved")
    shutil.copytree(tiny_encoder_folder, tmp_path / "encoder")
    monkeypatch.chdir(tmp_path)
    for where in ("moved", "./moved", str(tmp_path / "moved")):
        assert key(sources={"wikidata": where}, encoder="encoder") == plain
    (tmp_path / "elsewhere").mkdir()
    assert key(output=Path("elsewhere"), tracking_uri="http://h", seeds=(0, 1)) == plain


def test_precision_device_noise_split_and_seed_count(toy, tiny_encoder_folder, tmp_path, monkeypatch):
    def made(scenario="mnli_then_wikidata", seed=0, **changes):
        plain = toy_config(toy, tiny_encoder_folder, tmp_path / "out", "knn_fixed", scenario, shots=8)
        return key_of(prepare(replace(plain, **changes)), seed)

    plain = made()
    keys = [plain, made(seed=1), made(precision="bf16"), made(split="pair")]
    keys += [made("noisy_labels", label_noise=share) for share in (0.1, 0.3)]
    monkeypatch.setattr("contsym.training.plan.choose_device", lambda _: "cuda:0")
    keys += [made()]
    assert len(set(keys)) == len(keys)
    monkeypatch.setattr("contsym.training.plan.choose_device", lambda _: "cuda:1")
    assert made() == keys[-1], "one GPU is as good as another"


NO_SAY = {
    "encoder",
    "scenario",
    "seeds",
    "device",
    "precision",
    "plugins",
    "output",
    "tracking_uri",
    "save_models",
    "split",
    "label_noise",
}
"""Fields that have no part in a key, or only in what they come to."""


def test_what_decides_a_result_is_in_its_key(key, toy, tiny_encoder_folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(toy["wikidata"], other)
    lines = (other / "train.jsonl").read_text().splitlines()
    (other / "train.jsonl").write_text("\n".join(lines[:-1]) + "\n")
    cased = tmp_path / "cased"
    shutil.copytree(tiny_encoder_folder, cased)
    tokenizer = json.loads((cased / "tokenizer.json").read_text())
    tokenizer["normalizer"] = None
    (cased / "tokenizer.json").write_text(json.dumps(tokenizer))
    changes = (
        {}, {"shots": 16}, {"sizes": {"mnli": 30}}, {"settings": {"k": "5"}}, {"strategy": "ncm"}, {"curve": True},
        {"relearn": True}, {"limit": 20},
        {"without": ("steps",)}, {"without": ("steps",), "one_pass": True}, {"until": 0.9}, {"until": 0.9, "target": 0.8},
        {"shots": "least"}, {"shots": "least", "step": 8}, {"draw": "natural"},
        {"audit": True}, {"target": 0.5}, {"form": "both"}, {"protocol": "retrain"},
        {"protocol": "retrain", "pretrain": {"steps": "3"}}, {"pooling": "cls"}, {"adapter": "lora:4"}, {"adapter": "lora:8"},
        {"sources": {"wikidata": str(other)}},
        # The weights are the same; the texts are read otherwise.
        {"encoder": str(cased)},
    )  # fmt: skip
    keys = [key(**dict(change)) for change in changes]
    assert len(set(keys)) == len(changes)
    # A new field of a run: does it decide a result? Then `key_of` must know it.
    named = {name for change in changes for name in change} | NO_SAY
    assert {field.name for field in fields(RunConfig)} <= named
