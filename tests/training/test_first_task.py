"""A run that resumes from a cached first task is the run that did everything itself, to the bit."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from contsym.errors import ContsymError
from contsym.training.first_task import STATE, TENSORS, FirstTaskCache, first_task_plan
from contsym.training.keys import first_task_key, key_of
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.run import run_seed
from tests.runs import config, toy_config, without_time
from tests.strategy_settings import SETTINGS, fast_and_slow

MEMORIES = ({"memory": "stale"}, {"memory": "compensate"}, {"memory": "reservoir:20"})
CASES = [
    *((strategy, {}) for strategy in SETTINGS),
    *((strategy, memory) for strategy in ("knn_cosine", "knn_learned") for memory in MEMORIES[:2]),
    *(("knn_fixed", memory) for memory in MEMORIES),
    ("protonet", {"memory": "stale"}),
    ("fine_tune", {"head": "cross"}),
]
SLOW = [
    ("ridge", {}),
    ("routed_adapters", {}),
    ("setfit", {}),
    *(("knn_fixed", memory) for memory in MEMORIES),
]
"""What has most beside its weights. The conformance suite restores the state of every strategy, to the bit too."""


def same_tensors(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def marks_of(case):
    if case in (("fine_tune", {}), ("knn_fixed", {})):
        return ()
    return pytest.mark.slow if case in SLOW else pytest.mark.night


@pytest.mark.parametrize(
    ("strategy", "changes"), [pytest.param(*case, marks=marks_of(case)) for case in CASES]
)
def test_shared_and_alone_are_the_same_to_the_bit(strategy, changes, toy, tiny_encoder_folder, tmp_path):
    cache = FirstTaskCache(tmp_path / "first_tasks")
    options = {"settings": {"steps": "7", **changes}, "audit": False}
    few, plan = (
        prepare(
            config(toy, tiny_encoder_folder, tmp_path, strategy, "mnli_then_wikidata", shots=n, **options)
        )
        for n in (8, 16)
    )
    alone, rows, tensors = run_seed(plan, 3, Silent())
    # One state for all shots: a run on fewer makes it, which changes nothing of its own first task, and this one finds it.
    made, _, _ = run_seed(few, 3, Silent(), cache)
    assert made.loss[0] == alone.loss[0] and made.matrix[1][0] == alone.matrix[1][0]
    shared, shared_rows, shared_tensors = run_seed(plan, 3, Silent(), cache)
    assert len(list(cache.folder.iterdir())) == 1
    assert without_time(shared) == without_time(alone)
    assert shared_rows == rows
    assert same_tensors(shared_tensors, tensors)
    cache.drop(first_task_key(plan, 3))
    assert not list(cache.folder.iterdir())


@pytest.fixture
def plan(toy, tiny_encoder_folder, tmp_path):
    few = {"shots": 8, "settings": {"steps": "4"}, "audit": False}
    return prepare(config(toy, tiny_encoder_folder, tmp_path, "knn_fixed", "mnli_then_wikidata", **few))


def test_what_a_first_task_depends_on_is_in_its_key(plan):
    def key(seed=0, **changes):
        return first_task_key(replace(plan, config=replace(plan.config, **changes)), seed)

    assert key(shots=8) == key(shots=64) == key(shots=None)
    assert key(target=0.5) == key()
    assert (
        len({key(), key(seed=1), key(sizes={"mnli": 30}), key(curve=False), key(strategy="fine_tune")}) == 5
    )
    assert first_task_key(replace(plan, settings=plan.settings.model_copy(update={"k": 5})), 0) != key()
    assert first_task_key(replace(plan, tasks=plan.tasks[::-1]), 0) is None
    assert first_task_key(replace(plan, tasks=plan.tasks[:1]), 0) is None
    # With `until` the other target decides which batches are measured.
    assert key(until=0.9) == key(until=0.9, target=0.99) != key(until=0.9, target=0.8)


def test_a_state_with_points_is_of_as_many_tasks(toy, tiny_encoder_folder, tmp_path):
    """A point has an accuracy per task: with those of two tasks a result of three could not be stored."""
    parts = tmp_path / "parts.toml"
    parts.write_text(
        'summary = "Three."\n[[experience]]\ntask = "mnli"\n[[experience]]\ntask = "wikidata"\nparts = 2\n'
    )
    cache = FirstTaskCache(tmp_path / "first_tasks")
    config = toy_config(
        toy, tiny_encoder_folder, tmp_path, "fine_tune", shots=8, settings={"steps": "2"}, until=1.0
    )
    two, three = (prepare(replace(config, scenario=each)) for each in (config.scenario, str(parts)))
    for plan in (two, three):
        result, _, _ = run_seed(plan, 0, Silent(), cache)
        assert {len(point.accuracies) for point in result.trajectory} == {len(plan.tasks)}
    # Without points both share it.
    two, three = (replace(plan, config=replace(plan.config, until=None)) for plan in (two, three))
    assert first_task_key(two, 0) == first_task_key(three, 0)


@pytest.mark.parametrize("name", [STATE, TENSORS])
def test_a_damaged_state_is_one_line(name, plan, tmp_path):
    cache = FirstTaskCache(tmp_path / "first_tasks")
    run_seed(plan, 0, Silent(), cache)
    path = cache.folder / first_task_key(plan, 0) / name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ContsymError, match=r"a cached first task cannot be read .*; delete it"):
        run_seed(plan, 0, Silent(), cache)


def test_a_state_that_another_sweep_deletes_meanwhile_is_made_again(plan, tmp_path, monkeypatch):
    cache = FirstTaskCache(tmp_path / "first_tasks")
    was_there = [True]
    monkeypatch.setattr(
        FirstTaskCache,
        "has",
        lambda self, key: bool(was_there and was_there.pop()) or (self.folder / key).is_dir(),
    )
    values, _ = cache.make(plan, 0, Silent())
    assert (values["n_done"], was_there) == (1, [])


def test_a_kill_leaves_no_half_of_a_state_that_is_deleted(tmp_path, monkeypatch):
    cache = FirstTaskCache(tmp_path / "first_tasks")
    (cache.folder / "key").mkdir(parents=True)

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        cache.drop("key")
    assert not cache.has("key")


def test_the_seconds_of_a_cached_first_task_count(plan, tmp_path):
    """A cell costs what it would cost alone, whoever did the first part."""
    cache = FirstTaskCache(tmp_path / "first_tasks")
    run_seed(plan, 0, Silent(), cache)
    path = cache.folder / first_task_key(plan, 0) / STATE
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "seconds": 1000.0}))
    result, _, _ = run_seed(plan, 0, Silent(), cache)
    assert 1000 < result.seconds < 1100
    assert result.cost.experiences[0].model_dump() == values["costs"][0]


@pytest.mark.parametrize(
    "strategy",
    fast_and_slow(
        ["fine_tune+ewc", "knn_fixed", "routed_adapters", "fine_tune", "slda"],
        ["fine_tune+ewc"],
        ["knn_fixed", "routed_adapters"],
    ),
)
def test_other_wikidata_pairs_do_not_train_the_first_task_again(strategy, toy, tiny_encoder_folder, tmp_path):
    """The state of one run serves a run on other pairs, whose figures are those that it has alone."""
    cache = FirstTaskCache(tmp_path / "first_tasks")
    rows = [json.loads(line) for line in (Path(toy["wikidata"]) / "train.jsonl").read_text().splitlines()]
    other = tmp_path / "other"
    other.mkdir()
    for name, part in (("train", rows[:100]), ("test", rows[100:150])):
        (other / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))

    def planned(wikidata):
        sources = {**toy, "wikidata": str(wikidata)}
        return prepare(toy_config(sources, tiny_encoder_folder, tmp_path, strategy, shots=8))

    one, two = planned(toy["wikidata"]), planned(other)
    assert first_task_key(first_task_plan(one), 0) == first_task_key(first_task_plan(two), 0)
    assert key_of(one, 0) != key_of(two, 0)
    # A trajectory of the first task measures the other one too.
    measured = [replace(plan, config=replace(plan.config, curve=True)) for plan in (one, two)]
    assert len({first_task_key(first_task_plan(plan), 0) for plan in measured}) == 2
    run_seed(one, 0, Silent(), cache)
    alone, rows, tensors = run_seed(two, 0, Silent())
    shared, shared_rows, shared_tensors = run_seed(two, 0, Silent(), cache)
    assert len(list(cache.folder.iterdir())) == 1
    assert without_time(shared) == without_time(alone)
    assert shared_rows == rows
    assert same_tensors(shared_tensors, tensors)
