"""A saved model: it predicts as its run did, is an encoder for others, and learns pairs without a gradient step.

Over 400 lines: a model that is trained once serves all.
"""

import json
import re
import shutil
from dataclasses import replace
from functools import cache

import pytest
import torch
from safetensors.torch import load_file

from contsym import plugins
from contsym.errors import ContsymError, DataError, SettingError
from contsym.models.encoders.checkpoints import locate
from contsym.results import store
from contsym.results.metrics.answers import probabilities
from contsym.testing.elsewhere import scores_elsewhere
from contsym.testing.starters import write
from contsym.training.keys import key_of
from contsym.training.loop import SeedRun
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.run import run_seed, stored_seed
from contsym.training.trained import load
from contsym.training.trained_file import with_new_labels
from tests.conftest import CHANGED_LAYER
from tests.runs import toy_config, without_time
from tests.strategy_settings import fast_and_slow

BORDERS = [("anna borders ben", "ben borders anna"), ("anna is part of ben", "ben is part of anna")]


def trained_as(toy, encoder, output, strategy, settings=(), **changes):
    """(model, plan) of a short run through both toy tasks."""
    models = []
    settings = {"steps": "3", **dict(settings)}
    plan = prepare(toy_config(toy, encoder, output, strategy, settings=settings, **changes))
    run_seed(plan, 0, Silent(), on_end=models.append)
    return models[0], plan


@pytest.fixture(scope="module")
def plain(toy, tiny_encoder_folder, tmp_path_factory):
    """The same with nothing but a strategy given; no test may change the model."""
    return cache(lambda name: trained_as(toy, tiny_encoder_folder, tmp_path_factory.mktemp("out"), name))


@pytest.fixture
def trained(toy, tiny_encoder_folder, tmp_path, plain):
    def made(strategy="knn_fixed", encoder=tiny_encoder_folder, **changes):
        if encoder == tiny_encoder_folder and not changes:
            return plain(strategy)
        return trained_as(toy, encoder, tmp_path / "out", strategy, **changes)

    return made


RETRAINED = {"protocol": "retrain", "pretrain": {"steps": "3"}}
VARIANTS = [
    ("fine_tune+ewc", "tiny_encoder_folder", RETRAINED),
    ("knn_fixed", "tiny_encoder_folder", {"settings": {"memory": "stale"}}),
    ("knn_fixed", "tiny_encoder_folder", {"settings": {"memory": "reservoir:20"}}),
    ("routed_adapters", "tiny_encoder_folder", RETRAINED),
    ("nli_head", "tiny_nli_folder", {"protocol": "retrain"}),
]
"""Where a saved model finds its pairs, its adapters and its heads; the others have the same in another order."""
OTHERS = [
    ("knn_fixed", "tiny_encoder_folder", {"settings": {"memory": "compensate"}}),
    ("protonet", "tiny_encoder_folder", {"settings": {"memory": "stale"}}),
    ("setfit", "tiny_encoder_folder", {"settings": {"memory": "all"}}),
    ("routed_adapters", "tiny_nli_folder", {"protocol": "retrain"}),
    ("knn_fixed", "tiny_nli_folder", {"protocol": "retrain"}),
]


@pytest.mark.parametrize(
    ("strategy", "encoder", "changes"),
    [
        *(pytest.param(*case, marks=pytest.mark.slow) for case in VARIANTS),
        *(pytest.param(*case, marks=pytest.mark.night) for case in OTHERS),
    ],
)
@pytest.mark.usefixtures("forked")
def test_variants_predict_the_same_in_another_process_also_with_the_known_head(
    request, trained, tmp_path, strategy, encoder, changes
):
    """What a strategy does under protocol retrain and with other memories; the conformance suite has the plain runs."""
    model, plan = trained(strategy, request.getfixturevalue(encoder), **changes)
    pairs = plan.tasks[1].test
    found = scores_elsewhere(model.save(tmp_path / "saved"), pairs)
    assert torch.equal(found["own"], model.scores(pairs).scores)
    assert ("known" in found) == (changes.get("protocol") == "retrain")
    if "known" in found:
        assert torch.equal(found["known"], model.scores(pairs, head="known").scores)


def test_it_predicts_what_the_run_predicted_and_says_so_in_probabilities(trained, tmp_path):
    model, plan = trained()
    test = plan.tasks[1].test
    found = load(model.save(tmp_path / "saved")).scores(test)
    right = [label == found.labels[i] for label, i in zip(found.best, test["label"][:], strict=True)]
    assert sum(right) / len(right) == model.result.final["wikidata"]
    assert found.kind == "votes"
    assert found.probabilities == pytest.approx(probabilities(found.scores.numpy(), "votes"))
    assert found.probabilities.sum(axis=1) == pytest.approx(1)
    assert model.predict([]) == []


def test_plain_sentence_transformers_gives_the_same_vectors(trained, tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model, _ = trained("knn_fixed", pooling="cls")
    folder = model.save(tmp_path / "saved")
    texts = ["anna borders ben", "the ben", "carl"]
    vectors = sentence_transformers.SentenceTransformer(str(folder), device="cpu").encode(texts)
    expected = model.strategy.model.encoder.encode(texts)
    # The same weights; batches of other lengths add up in another order.
    torch.testing.assert_close(torch.from_numpy(vectors), expected, rtol=1e-5, atol=1e-6)


def test_plain_transformers_reads_the_trained_weights(trained, tmp_path, tiny_encoder_folder):
    from transformers import AutoModel, AutoTokenizer

    model, _ = trained("fine_tune")
    folder = model.save(tmp_path / "saved")
    body = AutoModel.from_pretrained(folder)
    for name, tensor in model.strategy.model.encoder.transformer.state_dict().items():
        assert torch.equal(body.state_dict()[name], tensor)
    assert not torch.equal(
        body.embeddings.word_embeddings.weight,
        load_file(tiny_encoder_folder / "model.safetensors")["embeddings.word_embeddings.weight"],
    )
    assert (
        AutoTokenizer.from_pretrained(folder)("anna")["input_ids"][1]
        == model.strategy.model.encoder.tokenizer("anna")["input_ids"][1]
    )


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_peft_reads_the_adapters_over_the_saved_weights(trained, tmp_path):
    from peft import PeftModel
    from transformers import AutoModel

    model, _ = trained("routed_adapters", settings={"rank": "2"})
    folder = model.save(tmp_path / "saved")
    encoder = model.strategy.model.encoder
    model.strategy._choose(1)
    batch = encoder.tokenize(["anna borders ben"])
    adapted = PeftModel.from_pretrained(AutoModel.from_pretrained(folder), folder / "adapters" / "1").eval()
    bare = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        expected, found, without = (
            each(**batch).last_hidden_state for each in (encoder.transformer.eval(), adapted, bare)
        )
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, without)


def test_nothing_in_the_folder_is_pickled_and_no_encoder_file_names_this_machine(trained, tmp_path):
    model, _ = trained("routed_adapters", settings={"rank": "2"})
    folder = model.save(tmp_path / "saved")
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    named = {path.name for path in files if str(tmp_path.parent).encode() in path.read_bytes()}
    # The record of the run says where its data were.
    assert named == {"contsym.json"}


def test_the_folder_is_an_encoder_with_its_pooling_and_what_it_has_seen(trained, tmp_path, toy):
    model, _ = trained("random_labels", pooling="cls")
    folder = model.save(tmp_path / "saved")
    files = locate(str(folder))
    assert set(files.seen) == {"mnli", "wikidata"}
    # What the method has beside it is no part of the encoder.
    (folder / "strategy.safetensors").unlink()
    assert locate(str(folder)) == files
    plan = prepare(toy_config(toy, folder, tmp_path / "next", "ncm"))
    assert plan.pooling.facts() == model.pooling.facts()
    run = SeedRun(plan, [plan.training_part(task, 0) for task in plan.tasks], 0, Silent())
    texts = ["anna borders ben"]
    assert torch.equal(run.encoder.encode(texts), model.strategy.model.encoder.encode(texts))


def test_a_checkpoint_with_an_nli_head_keeps_it(trained, tmp_path, tiny_nli_folder):
    from transformers import AutoModelForSequenceClassification

    model, _ = trained("fine_tune", tiny_nli_folder)
    kept, info = AutoModelForSequenceClassification.from_pretrained(
        model.save(tmp_path / "saved"), output_loading_info=True
    )
    assert not info["missing_keys"]
    before = load_file(tiny_nli_folder / "model.safetensors")
    assert torch.equal(kept.classifier.weight, before["classifier.weight"])
    assert not torch.equal(
        kept.bert.embeddings.word_embeddings.weight, before["bert.embeddings.word_embeddings.weight"]
    )


def test_the_head_that_nli_head_trained_is_that_of_the_saved_encoder(trained, tmp_path, tiny_presets):
    model, _ = trained("nli_head", "minilm-nli", settings={"steps": "6", "learning_rate": "1e-2"})
    head = load_file(model.save(tmp_path / "saved") / "nli_head.safetensors")
    assert torch.equal(head["linear.weight"], model.strategy.model.head.linear.weight)
    kept, _ = trained("nli_head", "minilm-nli", protocol="retrain")
    known = load_file(kept.save(tmp_path / "retrained") / "nli_head.safetensors")
    assert torch.equal(known["linear.weight"], kept.strategy.model.known_head.linear.weight)
    assert not torch.equal(head["linear.weight"], known["linear.weight"])


def test_a_model_of_a_difference_has_whole_weights(trained, tmp_path, tiny_presets, tiny_encoder_folder):
    model, _ = trained("ncm", "minilm-nli")
    saved = load_file(model.save(tmp_path / "saved") / "model.safetensors")
    before = load_file(tiny_encoder_folder / "model.safetensors")
    name = f"{CHANGED_LAYER}.weight"
    torch.testing.assert_close(saved[name], before[name] + 0.25)
    assert load(tmp_path / "saved").strategy.model.encoder.nli_head is not None


# -- Neighbours. --


def test_the_neighbours_are_the_stored_pairs_whose_labels_win_the_vote(trained, tmp_path):
    model, plan = trained("knn_fixed", settings={"k": "3"})
    loaded = load(model.save(tmp_path / "saved"))
    stored = {pair["id"]: pair for task in plan.tasks for pair in plan.training_part(task, 0)}
    asked = next(iter(stored.values()))
    (voters, _) = loaded.neighbours([asked, *BORDERS[:1]])
    assert len(voters) == 3
    assert [v.distance for v in voters] == sorted(v.distance for v in voters)
    # A stored pair is nearest to itself, at the distance 0.
    assert (voters[0].id, voters[0].premise) == (asked["id"], asked["premise"])
    assert voters[0].distance == pytest.approx(0, abs=1e-6)
    assert voters[0].label == loaded.labels[asked["label"]]
    labels = [v.label for v in voters]
    assert labels.count(loaded.predict([asked])[0]) == max(map(labels.count, labels))


def test_a_method_without_neighbours_says_so(trained):
    model, _ = trained("protonet")
    with pytest.raises(ContsymError, match="protonet predicts by no neighbours; expected a model of a k-NN"):
        model.neighbours(BORDERS)


# -- Learning pairs. --

LIKES = [
    (f"anna hates {name}", f"{name} hates anna", "entailment") for name in ("ben", "carl", "dora", "emil")
]


@pytest.mark.parametrize(
    "strategy",
    fast_and_slow(["knn_fixed", "protonet", "ridge", "ncm", "slda"], ["knn_fixed", "protonet", "ridge"], []),
)
def test_pairs_are_learned_without_a_gradient_step(trained, tmp_path, strategy):
    model, _ = trained(strategy)
    loaded = load(model.save(tmp_path / "saved"))
    before = {name: t.clone() for name, t in loaded.strategy.model.encoder.state_dict().items()}
    assert loaded.add(LIKES) == 4
    after = loaded.strategy.model.encoder.state_dict()
    assert all(torch.equal(after[name], t) for name, t in before.items())
    again = load(loaded.save(tmp_path / "more"))
    pairs = [pair[:2] for pair in LIKES] + BORDERS
    assert torch.equal(again.scores(pairs).scores, loaded.scores(pairs).scores)
    assert not torch.equal(again.scores(pairs).scores, model.scores(pairs).scores)
    assert again.file.n_added == 4


def test_added_pairs_are_as_those_of_one_more_experience(trained, tmp_path):
    """The means of all pairs, whenever they came; the encoder of ncm is never trained."""
    model = load(trained("ncm")[0].save(tmp_path / "saved"))
    counts = model.strategy.model.head.counts.clone()
    means = model.strategy.model.head.means.clone()
    model.add(LIKES)
    features = torch.cat([*model.strategy.model.vectors(model.dataset([pair[:2] for pair in LIKES]))], dim=1)
    p, h = features.chunk(2, dim=1)
    x = torch.cat([p, h, (p - h).abs(), p * h], dim=1).double()
    expected = (counts[0] * means[0] + x.sum(dim=0)) / (counts[0] + 4)
    torch.testing.assert_close(model.strategy.model.head.means[0], expected)


def test_appended_pairs_lie_where_all_pairs_encoded_anew_lie(trained, tmp_path):
    model, _ = trained("knn_fixed")
    loaded = load(model.save(tmp_path / "saved"))
    loaded.add(LIKES)
    memory = loaded.strategy.memory
    appended, labels = memory.index.embeddings, memory.index.labels
    memory.restore({})
    loaded.strategy.refresh()
    assert len(labels) == sum(map(len, loaded.strategy.past))
    assert (memory.index.labels == labels).all()
    # Batches of other lengths add up in another order.
    assert memory.index.embeddings == pytest.approx(appended, abs=1e-6)


@pytest.mark.parametrize(
    "strategy",
    fast_and_slow(
        ["knn_fixed", "protonet", "ridge", "ncm", "slda", "zero_shot"],
        ["knn_fixed", "protonet", "ridge", "ncm"],
        [],
    ),
)
def test_a_new_label_is_learned_and_predicted(trained, tmp_path, strategy):
    model, _ = trained(strategy)
    loaded = load(model.save(tmp_path / "saved"))
    # As often as voters are asked, so that they have the majority.
    new = [("1 2 3", "the the 9", "unknown")] * 4
    with pytest.raises(
        DataError, match=r"pair 1: label 'unknown' is unknown; expected entailment, neutral or contra"
    ):
        loaded.add(new)
    loaded.add(new, new_labels=["unknown"])
    again = load(loaded.save(tmp_path / "more"))
    assert again.labels == ("entailment", "neutral", "contradiction", "unknown")
    assert again.predict([("1 2 3", "the the 9")]) == ["unknown"]
    assert again.scores(BORDERS).probabilities.shape == (2, 4)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (
            "Neutral",
            "--new-label Neutral: neutral is a label already; expected one that differs by more than",
        ),
        ("neutral", "--new-label neutral: the model has this label"),
        ("", "--new-label '': expected a name of 1 to 100 characters"),
        (["far", "near "], "--new-label 'near ': expected a name of 1 to 100 characters, without spaces"),
    ],
)
def test_a_new_label_is_a_name_of_its_own(new, message):
    with pytest.raises(SettingError, match=re.escape(message)):
        with_new_labels(("entailment", "neutral"), new)


def test_a_lone_new_label_needs_no_list():
    assert with_new_labels(("yes", "no"), "far") == ("yes", "no", "far")


@pytest.mark.parametrize("strategy", ["fine_tune", "random_labels", "setfit"])
def test_a_method_that_learns_by_gradient_steps_refuses_pairs(trained, strategy):
    model, _ = trained(strategy)
    with pytest.raises(ContsymError, match=f"{strategy} learns by gradient steps, and a saved model takes"):
        model.add(LIKES)


# -- The store. --


def test_a_stored_result_gets_its_model_by_the_same_training(toy, tiny_encoder_folder, tmp_path):
    given = toy_config(toy, tiny_encoder_folder, tmp_path, "knn_fixed", settings={"steps": "3"})
    plan, with_model = prepare(given), prepare(replace(given, save_models=True))
    first = stored_seed(plan, 0, Silent())
    key = key_of(plan, 0)
    assert not store.has_model(tmp_path, key)
    assert key_of(with_model, 0) == key
    assert stored_seed(with_model, 0, Silent()) == first
    loaded = load(store.model_folder(tmp_path, key))
    left_out = {"loss": 0, "view": 0}
    assert without_time(loaded.result) | left_out == without_time(first) | left_out
    changed = first.model_copy(update={"probe": None, "final_macro": 0.0}).model_dump(mode="json")
    (store.result_folder(tmp_path, key) / store.RESULT).write_text(json.dumps(changed))
    shutil.rmtree(store.model_folder(tmp_path, key))
    with pytest.raises(ContsymError, match="it gives another result than the stored one"):
        stored_seed(with_model, 0, Silent())
    assert not store.has_model(tmp_path, key)


def test_a_result_that_another_process_stores_meanwhile_gets_the_model_too(
    toy, tiny_encoder_folder, tmp_path, monkeypatch
):
    given = toy_config(
        toy, tiny_encoder_folder, tmp_path, "knn_fixed", settings={"steps": "3"}, save_models=True
    )
    write = store.write_result
    monkeypatch.setattr(store, "write_result", lambda *args: write(*args[:4]))
    plan = prepare(given)
    stored_seed(plan, 0, Silent())
    assert store.has_model(tmp_path, key_of(plan, 0))


def test_the_model_of_a_plug_in_asks_for_its_file_and_tells_when_it_has_changed(trained, tmp_path):
    file, _ = write("strategy", "mine", tmp_path)
    model, _ = trained("mine", plugins=(str(file),))
    folder = model.save(tmp_path / "saved")
    with pytest.raises(ContsymError, match=r"its strategy mine is the plug-in .*; give its file with"):
        load(folder)
    same = load(folder, plugins_of=plugins.read([file]))
    assert torch.equal(same.scores(BORDERS).scores, model.scores(BORDERS).scores)
    assert same.notes == []
    file.write_text(file.read_text() + "\n# Another comment.\n")
    (note,) = load(folder, plugins_of=plugins.read([file])).notes
    assert note == f"the plug-in {file} has changed since the model was saved; its scores may be others"


# -- Mistakes. --


def test_wrong_pairs_and_heads_are_one_line(trained):
    model, _ = trained("fine_tune")
    for pairs, message in [
        ("anna", "'anna' is one text; expected a list of pairs"),
        (["anna"], "pair 1: 'anna'; expected"),
        ([("anna", "ben"), ("anna", "")], "pair 2: hypothesis is empty; expected a sentence"),
        ([{"premise": "anna"}], "pair 1: hypothesis is missing"),
    ]:
        with pytest.raises(ContsymError) as caught:
            model.predict(pairs)
        assert str(caught.value).startswith(message)
    with pytest.raises(SettingError, match="--head known: the model has no head of a known task"):
        model.predict(BORDERS, head="known")


@pytest.mark.parametrize("damage", ["head", "labels", "pairs", "no_card", "plugin"])
def test_a_damaged_folder_is_one_line(trained, tmp_path, damage):
    model, _ = trained("knn_fixed" if damage == "pairs" else "fine_tune")
    folder = model.save(tmp_path / "saved")
    card = folder / "contsym.json"
    content = json.loads(card.read_text())
    if damage == "head":
        (folder / "strategy.safetensors").write_bytes(b"\x00" * 9)
        message = "strategy.safetensors: cannot be read"
    elif damage == "labels":
        card.write_text(json.dumps({**content, "labels": ["a", "b", "a"]}))
        message = "labels a, b, a; expected different ones"
    elif damage == "pairs":
        (folder / "memory.jsonl").write_text('{"premise": "anna"}\n')
        message = "memory.jsonl:1: experience None; expected 0 to 1"
    elif damage == "no_card":
        card.unlink()
        message = "no saved model (contsym.json is missing)"
    else:
        plugin = {"kind": "strategy", "name": "mine", "origin": "mine.py", "sha256": "0"}
        card.write_text(json.dumps({**content, "strategy": "mine", "plugin": plugin}))
        message = (
            "its strategy mine is the plug-in mine.py, which is not here; give its file with --plugin FILE"
        )
    with pytest.raises(ContsymError) as caught:
        load(folder, plugins_of=plugins.INSTALLED)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_place_below_a_file_is_one_line(trained, tmp_path):
    model, _ = trained()
    (tmp_path / "file").touch()
    with pytest.raises(ContsymError, match="cannot be written"):
        model.save(tmp_path / "file" / "saved")


def test_replacing_a_folder_leaves_the_old_model_if_it_fails(trained, tmp_path, monkeypatch):
    model, _ = trained("ncm")
    folder = model.save(tmp_path / "saved")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(ContsymError, match="is there already; expected a new folder"):
        model.save(folder)

    (tmp_path / "mine").mkdir()
    with pytest.raises(ContsymError, match="is there, and is no saved model; expected one to replace"):
        model.save(tmp_path / "mine", replace=True)
    (tmp_path / "saved.before").mkdir()
    with pytest.raises(ContsymError, match="is there, as after a change that was interrupted; compare it"):
        model.save(folder, replace=True)
    (tmp_path / "saved.before").rmdir()
    (folder / "README.md").write_text("a card")
    (folder / ".git").mkdir()
    (folder / "old.safetensors").write_bytes(b"of the model before")
    model.save(folder, replace=True)
    kept = {path.name for path in folder.iterdir()}
    assert {"README.md", ".git"} <= kept and "old.safetensors" not in kept
    (folder / "README.md").unlink()
    (folder / ".git").rmdir()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("contsym.training.trained.write_pairs", full)
    with pytest.raises(ContsymError, match="cannot be written"):
        model.save(folder, replace=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir() if "saved" in path.name] == ["saved"]
