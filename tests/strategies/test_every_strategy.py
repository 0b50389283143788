"""The conformance suite over all strategies, and what holds of single ones, with a tiny encoder."""

import json
import re
from pathlib import Path

import pytest
import torch

from contsym.errors import ContsymError
from contsym.models.encoders.freezing import n_frozen_layers, parts_of
from contsym.results import store
from contsym.strategies.base import Strategy
from contsym.strategies.catalog import strategies
from contsym.testing import conformance
from contsym.training import progress
from contsym.training.loop import SeedRun
from contsym.training.parts import training_part
from contsym.training.plan import prepare
from tests.runs import BARE, config, costs, one_seed, result_folder
from tests.strategy_settings import ENCODERS, SETTINGS, SLOW, fast_and_slow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "strategy-hooks.md"
TRAINS_ENCODER = sorted(name for name in SETTINGS if "encoder" in strategies()[name].trains)
TAKES_NONE = sorted(name for name in SETTINGS if strategies()[name].trains == "nothing")


def test_every_strategy_is_in_the_table():
    assert set(SETTINGS) == set(strategies())


def test_every_hook_is_on_the_page():
    rows = re.findall(r"^\| (`.*?) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    named = re.findall(r"`(\w+)`", " ".join(rows))
    # Values of the base class without a meaning of their own: what a run writes into them.
    assert sorted([*named, "current", "n_steps"]) == sorted(
        n for n in vars(Strategy) if not n.startswith("_")
    )


@pytest.fixture(scope="module", params=fast_and_slow(SETTINGS, slow=SLOW))
def bench(request, tmp_path_factory):
    name = request.param
    encoder = request.getfixturevalue(ENCODERS.get(name, "tiny_encoder_folder"))
    folder = tmp_path_factory.mktemp(name)
    return conformance.Bench(name, folder, encoder=encoder, settings=SETTINGS[name])


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("check", conformance.CHECKS.values(), ids=conformance.CHECKS.keys())
def test_conforms(bench, check):
    try:
        check(bench)
    except conformance.Skipped as reason:
        pytest.skip(f"the check is not for this strategy: {reason}")


@pytest.mark.parametrize("strategy", fast_and_slow(SETTINGS, slow=SLOW))
def test_experiences_scored_together_have_the_scores_that_each_has_alone(request, toy, strategy, tmp_path):
    encoder = request.getfixturevalue(ENCODERS.get(strategy, "tiny_encoder_folder"))
    short = {"settings": {"steps": "3"}, **BARE}
    plan = prepare(config(toy, encoder, tmp_path, strategy, "mnli_then_wikidata", **short))
    run = SeedRun(plan, [training_part(task, plan.config, 0) for task in plan.tasks], 0, progress.Silent())
    run.train_next()
    experiences = list(run.test_stream)
    together = run.template.scores_of(experiences)
    assert [len(scores) for scores in together] == [len(task.test) for task in plan.tasks]
    for experience, scores in zip(experiences, together, strict=True):
        (alone,) = run.template.scores_of([experience])
        # Batches of other lengths add up in another order.
        torch.testing.assert_close(scores, alone, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("group", "is_trained", "calls"), [(10**6, True, 1), (1, True, 2), (10**6, False, 2)]
)
def test_experiences_are_scored_together_in_groups_but_apart_before_any_training(
    group, is_trained, calls, toy, tiny_encoder_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("contsym.training.template.GROUP", group)
    short = {"settings": {"steps": "3"}, **BARE}
    plan = prepare(config(toy, tiny_encoder_folder, tmp_path, "fine_tune", "mnli_then_wikidata", **short))
    run = SeedRun(plan, [training_part(task, plan.config, 0) for task in plan.tasks], 0, progress.Silent())
    if is_trained:
        run.train_next()
    calls_with, score = [], run.strategy.score
    monkeypatch.setattr(run.strategy, "score", lambda pairs: calls_with.append(len(pairs)) or score(pairs))
    scores = run.template.scores_of(list(run.test_stream))
    n_test = [len(task.test) for task in plan.tasks]
    assert [len(part) for part in scores] == n_test
    assert calls_with == ([sum(n_test)] if calls == 1 else n_test)


def test_what_a_shortcut_scores_too_is_marked(toy, tiny_encoder_folder, tmp_path):
    result, _, _ = one_seed(toy, tiny_encoder_folder, tmp_path, "fine_tune", curve=False)
    assert result.matrix[1][0] >= 0.9
    # Above the majority class, and not above the shortcut that reads the phrase.
    assert result.shortcuts["wikidata"]["relation_phrase"] == 1.0
    assert (result.learned, result.above_shortcuts) == ({"wikidata": True}, {"wikidata": False})
    unaudited, _, _ = one_seed(toy, tiny_encoder_folder, tmp_path, "fine_tune", **BARE)
    assert (unaudited.learned, unaudited.above_shortcuts) == ({"wikidata": True}, {"wikidata": None})


@pytest.mark.parametrize("strategy", fast_and_slow(TAKES_NONE, slow=SLOW))
def test_without_steps_nothing_is_trained(toy, tiny_encoder_folder, tmp_path, strategy):
    result, _, _ = one_seed(toy, tiny_encoder_folder, tmp_path, strategy, "mnli_then_wikidata", audit=False)
    assert result.loss == [[], []]
    assert result.trajectory == []
    assert costs(result, "pairs_seen") == [0, 0]
    assert result.cost.trained_parameters == 0


@pytest.mark.parametrize("what", ["embeddings", "layers:1"])
@pytest.mark.parametrize("strategy", fast_and_slow(TRAINS_ENCODER, slow=SLOW))
def test_what_is_frozen_is_not_trained(toy, tiny_encoder_folder, tmp_path, strategy, what):
    given = {"freeze": what, "steps": "3"}
    plan = prepare(config(toy, tiny_encoder_folder, tmp_path, strategy, settings=given, **BARE))
    run = SeedRun(plan, [training_part(task, plan.config, 0) for task in plan.tasks], 0, progress.Silent())
    embeddings, layers, _ = parts_of(run.encoder.transformer)
    frozen = [embeddings, *layers[: n_frozen_layers(what)]]
    before, top = [weights_of(module) for module in frozen], weights_of(layers[-1])
    run.train_next()
    assert all(torch.equal(weights_of(m), w) for m, w in zip(frozen, before, strict=True))
    assert not torch.equal(weights_of(layers[-1]), top)
    whole = run.strategy.n_trained_parameters + sum(len(w) for w in before)
    assert whole <= sum(p.numel() for p in run.strategy.model.parameters())


@pytest.mark.parametrize("strategy", sorted(set(SETTINGS) - set(TRAINS_ENCODER)))
def test_what_trains_no_encoder_refuses_to_freeze_it(toy, tiny_encoder_folder, tmp_path, strategy):
    given = config(toy, tiny_encoder_folder, tmp_path, strategy, settings={"freeze": "embeddings"})
    with pytest.raises(ContsymError, match=f"--freeze embeddings: strategy {strategy} trains .*; leave"):
        prepare(given)


def weights_of(module):
    return torch.cat([p.detach().flatten().clone() for p in module.parameters()])


def test_zero_shot_only_remembers(toy, tiny_encoder_folder, tmp_path):
    result, _, _ = one_seed(toy, tiny_encoder_folder, tmp_path, "zero_shot", "mnli_then_wikidata", **BARE)
    # Only the memory grew: what it says of MNLI before and after its own experience is the same.
    assert result.matrix[0][0] == result.matrix[1][0]


def test_zero_shot_asks_the_checkpoints_own_head(toy, tiny_nli_folder, tmp_path):
    result, _, tensors = one_seed(toy, tiny_nli_folder, tmp_path, "zero_shot", "mnli_then_wikidata", **BARE)
    assert result.cost.stored_bytes == 0
    assert set(tensors) == {"scores.mnli", "scores.wikidata"}
    assert result.matrix[0] == result.matrix[1] == result.matrix[2]


def test_cross_head_encodes_a_pair_as_one_text(toy, tiny_encoder_folder, tmp_path):
    pair, cross = (
        one_seed(
            toy,
            tiny_encoder_folder,
            tmp_path,
            "fine_tune",
            settings={"steps": "4", "head": head},
            **BARE,
        )[0]
        for head in ("pair", "cross")
    )
    training = {
        name: r.cost.encoder_forwards - r.cost.encoder_forwards_evaluation
        for name, r in (("pair", pair), ("cross", cross))
    }
    assert training == {"pair": 4 * 16 * 2, "cross": 4 * 16}


def test_stored_memory_grows_by_every_training_pair(toy, tiny_encoder_folder, tmp_path):
    result, _, tensors = one_seed(
        toy, tiny_encoder_folder, tmp_path, "knn_fixed", "mnli_then_wikidata", settings={"steps": "2"}, **BARE
    )
    n_stored = 60 + (4 * 66 - 64)
    assert len(tensors["memory.labels"]) == n_stored
    assert tensors["memory.embeddings"].shape == (n_stored, 32)
    assert result.cost.stored_bytes == n_stored * (32 * 4 + 8)


def test_stale_memory_keeps_the_old_vectors_and_a_compensating_one_moves_them(
    toy, tiny_encoder_folder, tmp_path
):
    memories, forwards, notes = {}, {}, {}
    for mode in ("refresh", "stale", "compensate"):
        result, _, tensors = one_seed(
            toy,
            tiny_encoder_folder,
            tmp_path,
            "knn_fixed",
            "mnli_then_wikidata",
            settings={"steps": "8", "memory": mode},
            **BARE,
        )
        memories[mode] = tensors["memory.embeddings"]
        forwards[mode], notes[mode] = costs(result, "training_forwards"), result.notes
    new, old = slice(60, None), slice(60)
    for mode in ("stale", "compensate"):
        # The same training, so the last experience is stored alike and the first is not. They encode batches of
        # other sizes, whose products some processors add up in another order.
        torch.testing.assert_close(memories["refresh"][new], memories[mode][new], rtol=0, atol=1e-6)
        assert not torch.allclose(memories["refresh"][old], memories[mode][old], atol=1e-3)
    assert not torch.allclose(memories["stale"][old], memories["compensate"][old], atol=1e-3)
    # The texts of the second experience are encoded once more, before it, and none of the first.
    n_texts = len(distinct_texts(toy, "wikidata"))
    assert [c - s for c, s in zip(forwards["compensate"], forwards["stale"], strict=True)] == [0, n_texts]
    assert notes["stale"] == []
    assert notes["compensate"] == [
        "memory=compensate: vectors of earlier experiences are estimates, moved by the mean drift of later pairs and not "
        "encoded again"
    ]


def distinct_texts(toy, task):
    rows = map(json.loads, (Path(toy[task]) / "train.jsonl").read_text().splitlines())
    return {row[role] for row in rows for role in ("premise", "hypothesis")}


def test_random_label_vectors_are_stored_and_never_trained(toy, tiny_encoder_folder, tmp_path):
    short, long = (
        one_seed(toy, tiny_encoder_folder, tmp_path, "random_labels", settings={"steps": steps}, **BARE)[2]
        for steps in ("1", "9")
    )
    assert short["label_vectors"].shape == (3, 32)
    assert torch.equal(short["label_vectors"], long["label_vectors"])


def test_steps_are_kept_exactly(toy, tiny_encoder_folder, tmp_path):
    result, _, _ = one_seed(
        toy, tiny_encoder_folder, tmp_path, "fine_tune", "mnli_then_wikidata", settings={"steps": "7"}, **BARE
    )
    assert [len(losses) for losses in result.loss] == [7, 7]
    # 60 NLI pairs make 3 batches of 16 and one of 12; 7 steps see 16*3 + 12 + 16*3 of them.
    assert costs(result, "pairs_seen") == [108, 7 * 16]


def test_a_seed_is_stored_whole(toy, tiny_encoder_folder, tmp_path):
    from contsym.training.run import run_seeds

    plan = prepare(
        config(toy, tiny_encoder_folder, tmp_path, "knn_fixed", seeds=(3, 4), settings={"steps": "2"}, **BARE)
    )
    found = run_seeds(plan, progress.Silent())
    assert [store.read_result(result_folder(plan, seed)) for seed in plan.config.seeds] == found
