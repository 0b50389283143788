"""Scenario files, their effect on the data, and runs with them."""

import re
from pathlib import Path

import pytest

from contsym.errors import ContsymError
from contsym.scenarios.catalog import find_scenario, scenario_runs, scenarios
from contsym.scenarios.experiences import deal_relations, flip_labels
from contsym.scenarios.schema import read_scenario
from contsym.training.parts import training_part
from contsym.training.plan import prepare
from tests.runs import toy_config, toy_run
from tests.strategy_settings import fast_and_slow
from tests.toy import nli_rows, relation_rows, write_task

DOCS = Path(__file__).parents[2] / "docs" / "scenarios.md"


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return {
        "wikidata": str(write_task(folder / "wikidata", relation_rows(), 64)),
        "mnli": str(write_task(folder / "mnli", nli_rows(), 30)),
        "snli": str(write_task(folder / "snli", nli_rows(), 30)),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("summary = 3", "mine.toml:1: summary is 3; expected a sentence on the purpose of the scenario"),
        (
            'summary = "S"',
            "mine.toml: experience is missing; expected at least one [[experience]] with a task",
        ),
        (
            'summary = "S"\n[[experience]]\ntask = "mnly"',
            "mine.toml:3: experience 1: task 'mnly' is unknown; did you mean mnli or snli or qnli?",
        ),
        (
            'summary = "S"\n[[experience]]\ntask = "mnli"\nform = "delexicalised"',
            "mine.toml:2: experience 1: mnli has no symmetric relations, which form needs; expected a task such "
            "as wikidata",
        ),
        (
            'summary = "S"\n[[experience]]\ntask = "wikidata"\nlabel_noise = 2',
            "mine.toml:4: experience 1: label_noise is 2; expected a share between 0 and 1, as 0.2",
        ),
        (
            'summary = "S"\n[[experience]]\ntask = "wikidata"\npart = "3 of 2"',
            'mine.toml:4: experience 1: part is \'3 of 2\'; expected "K of N", as "2 of 5", with 1 <= K <= N and '
            "2 <= N <= 1000",
        ),
        (
            'summary = "S"\n[[experience]]\ntask = "mnli"\nname = "a"\n[[experience]]\ntask = "snli"\nname = "a"',
            "mine.toml: name 'a-2' is used twice; expected one name per experience",
        ),
    ],
)
def test_a_mistake_in_a_file_is_one_line(text, message):
    with pytest.raises(ContsymError) as caught:
        read_scenario("mine", text, "mine.toml")
    assert str(caught.value) == message


def test_names_are_unique_and_a_task_that_comes_once_keeps_its_own():
    for name, plan in scenarios().items():
        assert len(set(plan.names)) == len(plan.names), name
    assert find_scenario("mnli_then_wikidata").names == ("mnli", "wikidata")
    assert find_scenario("relations_one_by_one").names == tuple(f"wikidata-{i}" for i in range(1, 6))
    assert len(find_scenario("long_stream").names) == 20


def test_all_orders_are_all_permutations():
    text = 'summary = "S"\nall_orders = true\n' + "".join(
        f'[[experience]]\ntask = "{task}"\n' for task in ("mnli", "snli", "wikidata")
    )
    assert len(set(read_scenario("mine", text, "mine.toml").orders())) == 6
    assert scenario_runs("order") == ["order:mnli,wikidata", "order:wikidata,mnli"]
    with pytest.raises(ContsymError, match="'mnli,mnli' is not an order of its experiences"):
        find_scenario("order:mnli,mnli")


def test_relations_are_dealt_with_both_kinds_in_each_part(toy, tiny_encoder_folder, tmp_path):
    plan = prepare(toy_config(toy, tiny_encoder_folder, tmp_path, "ncm", scenario="wikidata_only",
                              settings={}))  # fmt: skip
    (task,) = plan.tasks
    parts = deal_relations(task.parts, 2, "here")
    symmetric = {"borders", "is near"}
    assert sorted(relation for part in parts for relation in part) == sorted(
        {"borders", "is near", "is part of", "is a child of"}
    )
    assert [len(symmetric & set(part)) for part in parts] == [1, 1]
    with pytest.raises(ContsymError, match=r"here: 5 parts by relation; the data have 4 relations"):
        deal_relations(task.parts, 5, "here")


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 1])
def test_noise_flips_exactly_its_share(toy, tiny_encoder_folder, tmp_path, share):
    plan = prepare(
        toy_config(toy, tiny_encoder_folder, tmp_path, "ncm", scenario="wikidata_only", settings={})
    )
    train = plan.tasks[0].train
    noisy = flip_labels(train, share, 7, (0, 2))
    n_flipped = sum(a != b for a, b in zip(train["label"], noisy["label"], strict=True))
    assert n_flipped == round(share * len(train))
    assert noisy["id"][:] == train["id"][:]
    assert set(noisy["label"]) <= {0, 2}


def test_noise_is_on_the_training_pairs_alone(toy, tiny_encoder_folder, tmp_path):
    config = toy_config(toy, tiny_encoder_folder, tmp_path, "ncm", scenario="noisy_labels", settings={})
    plan = prepare(config)
    clean = {row["id"]: row["label"] for row in plan.tasks[1].train}
    trained = training_part(plan.tasks[1], config, 0)
    assert sum(clean[row["id"]] != row["label"] for row in trained) == round(0.2 * len(trained))
    assert all((row["label"] == 0) == (row["kind"] == "symmetric") for row in plan.tasks[1].test)


def test_storing_only_takes_no_step_with_a_memory_and_trains_without(toy, tiny_encoder_folder, tmp_path):
    stored, _, tensors = toy_run(toy, tiny_encoder_folder, tmp_path, "knn_fixed", scenario="new_label")
    trained, _, _ = toy_run(toy, tiny_encoder_folder, tmp_path, "fine_tune", scenario="new_label")
    assert [len(losses) for losses in stored.loss] == [12, 0, 0]
    assert [len(losses) for losses in trained.loss] == [12, 12, 12]
    assert stored.tasks == ["two_labels", "third_label", "wikidata"]
    # Everything was stored, the third label too: 60 NLI pairs and the 200 of relations.
    assert sorted(set(tensors["memory.labels"].tolist())) == [0, 1, 2]
    assert len(tensors["memory.labels"]) == 260


@pytest.mark.parametrize("strategy", fast_and_slow(["knn_fixed", "fine_tune+replay"]))
@pytest.mark.parametrize(
    "scenario", ["unseen_relations", "lexicalised_to_delexicalised", "domain_shift", "order:wikidata,mnli"]
)
def test_strategies_go_through(toy, tiny_encoder_folder, tmp_path, scenario, strategy):
    # The toy's four relations are too few to be split by relation.
    sources = {**toy, "wikidata": "bundled"} if scenario == "unseen_relations" else toy
    result, _, _ = toy_run(
        sources, tiny_encoder_folder, tmp_path, strategy, scenario=scenario, settings={"steps": "3"}
    )
    n = len(find_scenario(scenario).names)
    assert len(result.matrix) == n + 1
    assert all(len(row) == n for row in result.matrix)
    assert [len(losses) for losses in result.loss] == [3] * n


def test_the_documents_file_is_a_scenario_that_runs(toy, tiny_encoder_folder, tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text("utf-8"), re.S)
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    plan = find_scenario(str(path))
    assert plan.names == ("wikidata-1", "wikidata-2", "without_names")
    result, _, _ = toy_run(
        toy, tiny_encoder_folder, tmp_path, "knn_fixed", scenario=str(path), settings={"steps": "3"}, shots=8
    )
    assert result.tasks == list(plan.names)
    # N shots of each experience.
    assert [result.sources[name].rows.train for name in plan.names] == [8, 8, 8]
