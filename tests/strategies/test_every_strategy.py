"""One suite over all strategies, with a tiny encoder and a task that any method must learn."""

import json

import pytest
import torch

from contsym import registry, results
from contsym.config import RunConfig
from contsym.run import parse_settings, prepare, run_seed
from tests.strategy_settings import SETTINGS
from tests.toy import nli_rows, relation_rows, write_task

LEARNS = [name for name in SETTINGS if name not in {"zero_shot", "prompt_llm"}]
TAKES_STEPS = [name for name in SETTINGS if registry.strategies()[name].trains != "nothing"]
TAKES_NONE = sorted(SETTINGS.keys() - TAKES_STEPS)


class Silent:
    def phase(self, description, total):
        pass

    def advance(self, loss=None):
        pass


@pytest.fixture(scope="module")
def toy(tmp_path_factory, tiny_masked_lm_folder, tiny_causal_folder, tiny_nli_folder):
    folder = tmp_path_factory.mktemp("toy")
    return {
        # Checkpoints by strategy, of those that need one of their own.
        "encoders": {
            "cloze": tiny_masked_lm_folder,
            "prompt_llm": tiny_causal_folder,
            "nli_head": tiny_nli_folder,
        },
        "wikidata": str(write_task(folder / "wikidata", relation_rows(), 64)),
        "mnli": str(write_task(folder / "mnli", nli_rows(), 30)),
    }


def config(toy, encoder, tmp_path, strategy, scenario="wikidata_only", **changes):
    tasks = registry.find_scenario(scenario).tasks
    settings = {**SETTINGS[strategy], **changes.pop("settings", {})}
    return RunConfig(
        strategy=strategy,
        scenario=scenario,
        encoder=str(toy["encoders"].get(strategy, encoder)),
        sources={task: toy[task] for task in tasks},
        settings=settings,
        output=tmp_path,
        device="cpu",
        precision="fp32",
        **changes,
    )


def one_seed(toy, encoder, tmp_path, strategy, scenario="wikidata_only", seed=0, **changes):
    plan = prepare(config(toy, encoder, tmp_path, strategy, scenario, **changes))
    return run_seed(plan, seed, Silent())


def test_every_strategy_is_in_the_table():
    assert set(SETTINGS) == set(registry.strategies())


@pytest.mark.parametrize("strategy", LEARNS)
def test_learns_a_separable_task(toy, tiny_encoder_folder, tmp_path, strategy):
    result, _, _ = one_seed(toy, tiny_encoder_folder, tmp_path, strategy)
    assert result["matrix"][1][0] >= 0.9
    # What the card says is what happens.
    assert bool(result["loss"][0]) == (strategy in TAKES_STEPS)
    # Above the majority class, and not above the shortcut that reads the phrase.
    assert result["shortcuts"]["wikidata"]["relation_phrase"] == 1.0
    assert result["learned"] == {"wikidata": False}
    unaudited, _, _ = one_seed(toy, tiny_encoder_folder, tmp_path, strategy, audit=False)
    assert unaudited["learned"] == {"wikidata": True}


@pytest.mark.parametrize("strategy", SETTINGS)
def test_same_seed_same_result_to_the_bit(toy, tiny_encoder_folder, tmp_path, strategy):
    runs = [
        one_seed(
            toy, tiny_encoder_folder, tmp_path, strategy, "mnli_then_wikidata", 7, settings={"steps": "12"}
        )
        for _ in range(2)
    ]
    (first, rows, tensors), (second, same_rows, same_tensors) = runs
    assert first["matrix"] == second["matrix"]
    assert first["loss"] == second["loss"]
    assert rows == same_rows
    assert tensors.keys() == same_tensors.keys()
    assert all(torch.equal(tensors[name], same_tensors[name]) for name in tensors)


@pytest.mark.parametrize("strategy", TAKES_STEPS)
def test_measuring_the_curve_does_not_change_training(toy, tiny_encoder_folder, tmp_path, strategy):
    with_curve, without = (
        one_seed(
            toy,
            tiny_encoder_folder,
            tmp_path,
            strategy,
            "mnli_then_wikidata",
            settings={"steps": "12"},
            curve=curve,
        )[0]
        for curve in (True, False)
    )
    assert with_curve["curve"]
    assert not without["curve"]
    assert with_curve["loss"] == without["loss"]
    assert with_curve["matrix"] == without["matrix"]


@pytest.mark.parametrize("strategy", TAKES_STEPS)
def test_another_seed_is_another_run(toy, tiny_encoder_folder, tmp_path, strategy):
    one, two = (
        one_seed(toy, tiny_encoder_folder, tmp_path, strategy, seed=seed, settings={"steps": "3"})[0]
        for seed in (0, 1)
    )
    assert one["loss"] != two["loss"]


@pytest.mark.parametrize("strategy", TAKES_NONE)
def test_without_steps_nothing_is_trained(toy, tiny_encoder_folder, tmp_path, strategy):
    result, _, _ = one_seed(toy, tiny_encoder_folder, tmp_path, strategy, "mnli_then_wikidata")
    assert result["loss"] == [[], []]
    assert result["curve"] == []
    assert result["cost"]["pairs_seen"] == [0, 0]
    assert result["cost"]["trained_parameters"] == 0


def test_zero_shot_only_remembers(toy, tiny_encoder_folder, tmp_path):
    result, _, _ = one_seed(toy, tiny_encoder_folder, tmp_path, "zero_shot", "mnli_then_wikidata")
    # Only the memory grew: what it says of MNLI before and after its own experience is the same.
    assert result["matrix"][0][0] == result["matrix"][1][0]


def test_zero_shot_asks_the_checkpoints_own_head(toy, tiny_nli_folder, tmp_path):
    result, _, tensors = one_seed(toy, tiny_nli_folder, tmp_path, "zero_shot", "mnli_then_wikidata")
    assert result["cost"]["stored_bytes"] == 0
    assert tensors == {}
    assert result["matrix"][0] == result["matrix"][1] == result["matrix"][2]


def test_cross_head_encodes_a_pair_as_one_text(toy, tiny_encoder_folder, tmp_path):
    pair, cross = (
        one_seed(
            toy,
            tiny_encoder_folder,
            tmp_path,
            "fine_tune",
            settings={"steps": "4", "head": head},
            curve=False,
        )[0]
        for head in ("pair", "cross")
    )
    training = {
        name: r["cost"]["encoder_forwards"] - r["cost"]["encoder_forwards_evaluation"]
        for name, r in (("pair", pair), ("cross", cross))
    }
    assert training == {"pair": 4 * 16 * 2, "cross": 4 * 16}


def test_stored_memory_grows_by_every_training_pair(toy, tiny_encoder_folder, tmp_path):
    result, _, tensors = one_seed(
        toy, tiny_encoder_folder, tmp_path, "knn_fixed", "mnli_then_wikidata", settings={"steps": "2"}
    )
    n_stored = 60 + (4 * 66 - 64)
    assert len(tensors["memory.labels"]) == n_stored
    assert tensors["memory.embeddings"].shape == (n_stored, 32)
    assert result["cost"]["stored_bytes"] == n_stored * (32 * 4 + 8)


def test_stale_memory_keeps_the_old_vectors(toy, tiny_encoder_folder, tmp_path):
    memories = {}
    for mode in ("refresh", "stale"):
        _, _, tensors = one_seed(
            toy,
            tiny_encoder_folder,
            tmp_path,
            "knn_fixed",
            "mnli_then_wikidata",
            settings={"steps": "8", "memory": mode},
        )
        memories[mode] = tensors["memory.embeddings"]
    # The same training, so the last experience is stored alike and the first is not.
    assert torch.equal(memories["refresh"][60:], memories["stale"][60:])
    assert not torch.allclose(memories["refresh"][:60], memories["stale"][:60], atol=1e-3)


def test_random_label_vectors_are_kept_and_never_trained(toy, tiny_encoder_folder, tmp_path):
    _, _, short = one_seed(toy, tiny_encoder_folder, tmp_path, "random_labels", settings={"steps": "1"})
    _, _, long = one_seed(toy, tiny_encoder_folder, tmp_path, "random_labels", settings={"steps": "9"})
    assert short["label_vectors"].shape == (3, 32)
    assert torch.equal(short["label_vectors"], long["label_vectors"])


def test_steps_are_kept_exactly(toy, tiny_encoder_folder, tmp_path):
    result, _, _ = one_seed(
        toy, tiny_encoder_folder, tmp_path, "fine_tune", "mnli_then_wikidata", settings={"steps": "7"}
    )
    assert [len(losses) for losses in result["loss"]] == [7, 7]
    # 60 NLI pairs make 3 batches of 16 and one of 12; 7 steps see 16*3 + 12 + 16*3 of them.
    assert result["cost"]["pairs_seen"] == [108, 7 * 16]


def test_a_seed_is_stored_whole(toy, tiny_encoder_folder, tmp_path):
    from contsym.run import run_seeds

    plan = prepare(
        config(toy, tiny_encoder_folder, tmp_path, "knn_fixed", seeds=(3, 4), settings={"steps": "2"})
    )
    found = run_seeds(plan, Silent())
    (run,) = results.stored_runs(tmp_path)
    assert [results.read_seed(p) for p in results.stored_seeds(run)] == json.loads(json.dumps(found))


@pytest.mark.parametrize("strategy", SETTINGS)
def test_a_setting_out_of_range_is_refused(strategy):
    from contsym.errors import SettingError

    with pytest.raises(SettingError, match=r"^--set batch_size=1: expected greater than or equal to 2$"):
        parse_settings(registry.load_strategy(strategy), {"batch_size": "1"})
