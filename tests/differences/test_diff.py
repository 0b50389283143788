"""Two checkpoints compared: nothing found where nothing is, a planted damage found where it is."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import contsym
from contsym import plugins
from contsym.differences import run
from contsym.differences.parts import unlike_note
from contsym.differences.run import diff
from contsym.differences.tasks import folds_of, load_pairs
from contsym.errors import DataError, EncoderError, SettingError
from contsym.models.encoders.checkpoints import METHOD
from tests.differences.conftest import DAMAGE, DAMAGED, copy_of


@pytest.fixture(autouse=True)
def only_the_toy_task(monkeypatch):
    """The bundled pairs have words that the tiny encoders do not know, and take seconds."""
    monkeypatch.setattr(run, "BUNDLED_TASKS", ())


@pytest.fixture(scope="module")
def of_damage(trained, damaged, pairs_file):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "BUNDLED_TASKS", ())
        return diff(trained, damaged, {"toy": pairs_file})


def test_the_same_checkpoint_twice_is_said_and_not_measured(trained):
    found = diff(trained, trained, {"toy": "not-even-looked-for.jsonl"})
    assert found.is_same and (found.tasks, found.abilities, found.parts) == ((), (), ())
    assert "OLD and NEW have the same weights" in str(found) and found.to_frame().empty


def test_a_checkpoint_differs_from_its_copy_in_nothing(trained, twin, pairs_file):
    found = diff(trained, twin, {"toy": pairs_file})
    assert not found.is_same
    for ability in found.abilities:
        for each in (ability, *ability.groups):
            assert (each.change, each.low, each.high, each.p) == (0, 0, 0, 1)
            assert each.before == each.after
    assert [a.measure for a in found.abilities] == ["own head", "probe", "k-NN"]
    for part in found.parts:
        assert {part.weights, part.cka_distance, part.drift, part.neighbours_lost} <= {0, None}
    assert found.transplants == () and found.notes == ()


def test_a_damaged_layer_is_found_by_its_weights(of_damage):
    weights = {part.name: part.weights for part in of_damage.parts}
    assert weights.pop(DAMAGED) == pytest.approx(DAMAGE)
    assert set(weights.values()) == {0, None}


def test_a_damaged_layer_is_the_first_whose_states_differ(of_damage):
    states = {part.name: (part.cka_distance, part.drift, part.neighbours_lost) for part in of_damage.parts}
    assert states["embeddings"] == states["layer 1"] == (0, 0, 0)
    assert all(value > 0.01 for value in states[DAMAGED])


def test_the_lost_ability_returns_with_the_damaged_layer_alone(of_damage):
    lost = of_damage.ability("toy", "own head")
    assert lost.before == 1 and lost.after < 0.8 and lost.is_shown
    (transplant,) = of_damage.transplants
    assert transplant.part == DAMAGED
    assert {r.measure: r.share for r in transplant.abilities}["own head"] == 1
    assert transplant.abilities[0].accuracy == 1


def test_nothing_is_put_back_where_that_is_not_wanted(trained, damaged, pairs_file, of_damage):
    found = diff(trained, damaged, {"toy": pairs_file}, put_back=False)
    assert found.transplants == () and found.abilities == of_damage.abilities


def test_the_checkpoint_is_as_before_after_a_transplant(trained, damaged, pairs_file, of_damage):
    again = diff(trained, damaged, {"toy": pairs_file})
    assert again.model_dump(exclude={"seconds"}) == of_damage.model_dump(exclude={"seconds"})


def test_the_order_of_the_sides_changes_signs_alone(trained, damaged, pairs_file, of_damage):
    back = diff(damaged, trained, {"toy": pairs_file})
    assert {a.title for a in back.gained} == {a.title for a in of_damage.lost} != set()
    assert back.lost == [] and back.transplants == (), "nothing was lost, so nothing is put back"
    for one, other in zip(of_damage.abilities, back.abilities, strict=True):
        assert (one.before, one.after, one.p, one.least) == (other.after, other.before, other.p, other.least)
        assert one.change == -other.change and (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_skills_are_shown_apart(of_damage):
    groups = of_damage.ability("toy", "own head").groups
    assert [(g.column, g.name, g.n) for g in groups] == [("skill", "even", 45), ("skill", "odd", 45)]
    n_right = sum(g.after * g.n for g in groups)
    assert n_right == pytest.approx(of_damage.ability("toy", "own head").after * 90)


def test_two_architectures_are_compared_by_abilities_and_vectors(trained, tiny_causal_folder, pairs_file):
    found = diff(trained, tiny_causal_folder, {"toy": pairs_file})
    assert found.old.head == "joint" and found.new.head is None and found.reads == "sentences"
    head = found.ability("toy", "own head")
    assert (head.before, head.after, head.change, head.p) == (1, None, None, None)
    assert found.ability("toy", "probe").change is not None
    (vectors,) = found.parts
    assert vectors.name == "vectors" and vectors.weights is None and vectors.drift is None
    assert 0 < vectors.cka_distance <= 1 and 0 < vectors.neighbours_lost <= 1
    assert found.transplants == ()
    assert [note.partition(":")[0] for note in found.notes] == [
        "OLD is bert with 3 layers and 32 dimensions, NEW gpt2 with 2 layers and 32 dimensions",
        "3 and 2 layers",
    ]


def test_a_dropped_layer_is_no_other_architecture(of_damage):
    old = of_damage.old
    assert unlike_note(old, old.model_copy(update={"n_layers": 2})) == (
        "OLD has 3 layers, NEW 2: weights and directions are compared only between layers of the same number and size, and "
        "no part is put back"
    )
    assert unlike_note(old, old.model_copy(update={"dim": 16})).startswith("OLD has 32 dimensions, NEW 16: ")
    assert unlike_note(old, old).startswith(
        "the weights of OLD's layers have other names or sizes than NEW's: "
    )


def test_embeddings_of_another_vocabulary_are_left_out(
    tiny_encoder_folder, tiny_masked_lm_folder, pairs_file
):
    # The second has more words, in another order.
    found = diff(tiny_encoder_folder, tiny_masked_lm_folder, {"toy": pairs_file})
    weights = {part.name: part.weights for part in found.parts}
    assert weights["embeddings"] is None and weights["layer 1"] > 0
    assert any(note.startswith("embeddings:") for note in found.notes)


def test_a_pair_head_that_contsym_trained_answers(tiny_presets, pairs_file):
    found = diff("minilm", "minilm-nli", {"toy": pairs_file})
    # A head of zeros gives every pair the first label; 30 of 90 have it.
    assert found.ability("toy", "own head").after == pytest.approx(1 / 3)
    moved = {part.name for part in found.parts if part.weights}
    assert moved == {"layer 1"}, "the layer that the difference changes"
    assert found.notes == ("head: only NEW has an NLI head, so it is neither compared nor put back",)


def test_a_saved_method_without_an_nli_head_is_named(tiny_encoder_folder, pairs_file, tmp_path):
    saved = shutil.copytree(tiny_encoder_folder, tmp_path / "saved")
    save_file({"head.weight": torch.zeros(1)}, saved / METHOD)
    found = diff(tiny_encoder_folder, saved, {"toy": pairs_file})
    assert found.notes == (
        f"NEW: its method is not measured: {saved}: no saved model (contsym.json is missing); expected a folder that "
        "contsym run --save-model wrote",
    )
    assert [a.change for a in found.abilities] == [0, 0]


@pytest.mark.usefixtures("untracked")
def test_the_answers_of_a_saved_method_stand_beside_the_old_head(
    tiny_encoder_folder, pairs_file, toy, tmp_path
):
    run = contsym.run(
        "knn_fixed",
        encoder=str(tiny_encoder_folder),
        mnli=toy["mnli"],
        wikidata=toy["wikidata"],
        save_models=True,
        output=tmp_path,
        settings={"steps": 2},
    )
    (result,) = run.stored.done().values()
    found = contsym.diff(
        tiny_encoder_folder, result / "model", {"toy": pairs_file, "wikidata": toy["wikidata"]}
    )
    assert (found.old.title, found.new.title) == (str(tiny_encoder_folder), f"knn_fixed {result.name[:8]}")
    ability = found.ability("wikidata", "method")
    # The same pairs as the run's test pairs, so its last accuracy.
    assert (ability.before, ability.change, ability.p) == (None, None, None)
    assert ability.after == pytest.approx(run.matrix.iloc[-1]["wikidata"])
    of_run = run.matrix["wikidata"]
    assert (
        f"wikidata {ability.after:.3f} (on its run's test pairs: {of_run.iloc[0]:.3f} before training, "
        f"{of_run.iloc[-1]:.3f} after); OLD has no method"
    ) in str(found)
    assert f"NEW's method knn_fixed reaches toy {found.ability('toy', 'method').after:.3f}, wikidata" in str(
        found
    )
    rows = found.answers()
    own = rows[(rows.task == "wikidata") & (rows.measure == "method")]
    assert len(own) == 64 and set(own.before) == {""} and (own.label == own.after).mean() == ability.after


def test_every_changed_answer_is_counted_and_listed(of_damage):
    ability, rows = of_damage.ability("toy", "own head"), of_damage.answers()
    own = rows[rows.measure == "own head"]
    was_right, is_right = own.before == own.label, own.after == own.label
    assert (ability.flips.lost, ability.flips.won) == ((was_right & ~is_right).sum(), 0)
    assert ability.flips.lost == round((ability.before - ability.after) * 90)
    shares = {s.label: (s.true, s.before, s.after) for s in ability.shares}
    for label in ("entailment", "neutral", "contradiction"):
        assert shares[label] == pytest.approx((1 / 3, 1 / 3, (own.after == label).mean()))


def test_of_few_pairs_the_own_head_is_measured_and_the_rest_is_named(trained, damaged):
    rows = [
        {"premise": "anna is near ben", "hypothesis": f"anna {verb} ben", "label": label}
        for verb, label in (("is near", "entailment"), ("likes", "neutral"), ("hates", "contradiction"))
    ]
    found = diff(trained, damaged, {"few": rows})
    assert [a.title for a in found.abilities] == ["few, own head"]
    assert found.notes == (
        "few: 3 different pairs, both directions counted once; expected at least 50, for the 5 folds of probe and k-NN, "
        "which are left out",
    )


def test_other_tokens_are_counted(trained, tmp_path, pairs_file):
    other = copy_of(trained, tmp_path / "other")
    file = other / "tokenizer.json"
    content = json.loads(file.read_text())
    words = content["model"]["vocab"]
    words["likes"], words["hates"] = words["hates"], words["likes"]
    file.write_text(json.dumps(content))
    found = diff(trained, other, {"toy": pairs_file})
    # Of the distinct sentences 30 are premises and hypotheses of entailment at once.
    n = len({s for p in found.tasks[0].pairs for s in (p.premise, p.hypothesis)})
    n_other = len({s for p in found.tasks[0].pairs for s in (p.hypothesis,) if "likes" in s or "hates" in s})
    assert found.notes[0] == f"the tokenizers differ: {n_other} of {n} sentences become other tokens"


def test_rows_in_memory_are_a_task_as_a_file_is(trained, damaged, pairs_file, of_damage):
    rows = [json.loads(line) for line in pairs_file.read_text().splitlines()]
    found = contsym.diff(trained, damaged, {"mnli": rows})
    assert [a.change for a in found.abilities] == [a.change for a in of_damage.abilities]
    assert found.to_frame().loc[("mnli", "own head"), "n"] == 90 and "own head" in found._repr_html_()


def test_a_pair_with_several_skills_is_in_the_group_of_each():
    rows = [{"premise": "a", "hypothesis": "b", "label": "neutral", "skill": "spatial|logic"}]
    found = load_pairs("mine", rows, seed=0, limit=10, form="lexicalised")
    assert {name: members.tolist() for name, members in found.groups["skill"].items()} == {
        "logic": [0],
        "spatial": [0],
    }


def test_a_pair_and_its_mirror_image_share_a_fold_and_folds_share_labels():
    groups = [tuple(sorted((f"a{i}", f"b{i}"))) for i in range(60)] * 2
    labels = np.tile(np.arange(60) % 3, 2)
    folds = folds_of(groups, labels, seed=3)
    assert (folds[:60] == folds[60:]).all()
    # 20 pairs of each label over 5 folds, at most one fold has one more.
    counts = [[int(((folds[:60] == f) & (labels[:60] == c)).sum()) for c in range(3)] for f in range(5)]
    assert {n for row in counts for n in row} <= {4}
    shuffled = np.random.default_rng(0).permutation(120)
    again = folds_of([groups[i] for i in shuffled], labels[shuffled], seed=3)
    assert (again == folds[shuffled]).all()


@pytest.mark.parametrize(
    ("tasks", "error", "words"),
    [
        (
            {"toy": "no-such-file.jsonl"},
            DataError,
            "no-such-file.jsonl: no such file; expected a file of labelled pairs",
        ),
        ({"a b": []}, SettingError, "--task 'a b': expected a name of letters"),
        (
            {"few": [{"premise": str(i), "hypothesis": "x", "label": "neutral"} for i in range(49)]},
            DataError,
            "rows: 49 different pairs, both directions counted once; expected at least 50, for the 5 folds of probe and "
            "k-NN; neither checkpoint has a head or a method that answers them",
        ),
        ({"none": [{"premise": "a", "hypothesis": "b", "label": "-"}]}, DataError, "rows: no labelled pairs"),
    ],
)
def test_pairs_that_cannot_be_used_are_refused_in_one_line(
    tiny_encoder_folder, tiny_masked_lm_folder, tasks, error, words
):
    with pytest.raises(error) as refused:
        diff(tiny_encoder_folder, tiny_masked_lm_folder, tasks)
    assert str(refused.value).startswith(words)


def test_a_checkpoint_that_is_not_there_is_refused(trained, pairs_file):
    with pytest.raises(EncoderError, match=r"^encoder 'no/such' is not here"):
        diff(trained, "no/such", {"toy": pairs_file})


def test_a_task_of_ones_own_says_what_its_labels_are(tmp_path):
    """`--plugin` has the task's file, and its numbers are not those of contsym's NLI labels."""
    (tmp_path / "num.toml").write_text(
        'summary = "x"\nlabels = ["entailment", "neutral", "contradiction"]\n'
        '[columns]\nlabel = "code"\n[written]\n0 = "contradiction"\n1 = "entailment"\n'
    )
    rows = [{"premise": f"it rains {i}", "hypothesis": f"it pours {i}", "code": i % 2} for i in range(300)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    named = plugins.read([str(tmp_path / "num.toml")])
    found = load_pairs("num", tmp_path / "pairs.jsonl", seed=0, limit=500, form="lexicalised", plugins=named)
    truth = {
        int(premise.split()[-1]) % 2: label
        for premise, label in zip(found.premises, found.truth, strict=False)
    }
    assert truth == {0: "contradiction", 1: "entailment"}
