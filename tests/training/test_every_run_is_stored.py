"""Every combination is stored, read, found again, and sent to MLflow with the right costs."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from contsym.cli import cli
from contsym.config import RunConfig
from contsym.errors import ContsymError, SettingError
from contsym.results import store
from contsym.results.equality import untimed
from contsym.results.mlflow_records import seed_record
from contsym.results.schema import FORMAT
from contsym.scenarios.catalog import find_scenario, scenario_runs, scenarios
from contsym.sweeps import tracking
from contsym.sweeps.config import SweepConfig
from contsym.sweeps.runs import stored_runs
from contsym.testing.toy import nli_rows, write_task, write_tasks
from contsym.training.first_task import FirstTaskCache
from contsym.training.keys import key_of
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.reproduce import config_of
from contsym.training.run import run_seed
from tests.runs import costs, stored_results, toy_config, toy_run

RUNS = [run for name in scenarios() for run in scenario_runs(name)]
# tests/scenarios/test_tested_only.py has the others, which need other tasks.
RUNS = [run for run in RUNS if find_scenario(run).n_trained == len(find_scenario(run).names)]
RETRAINED = [name for name in RUNS if find_scenario(name).specs[0].is_nli]
RETRAINED = [name for name in RETRAINED if len(find_scenario(name).names) > 1]
NEEDS_BUNDLED = ("relations_one_by_one", "long_stream", "unseen_relations", "property_disjoint")
"""Scenarios that need more relations, or entities that differ more, than the toy task has."""
FAST = [
    ("sequential", "wikidata_only"),
    ("sequential", "mnli_then_wikidata"),
    ("retrain", "mnli_then_wikidata"),
]
SLOW = [
    # Three tasks, one task in parts and in two forms, labels that come later, noise, and single texts.
    *(
        ("sequential", name)
        for name in (
            "domain_shift", "relations_one_by_one", "lexicalised_to_delexicalised", "new_label", "noisy_labels",
            "text_stream",
        )
    ),
    ("retrain", "domain_shift"),
    ("retrain", "new_label"),
]  # fmt: skip
"""Scenarios of each kind; the others differ in their data alone, and are for the night."""
COMBINED = [*itertools.product(["sequential"], RUNS), *itertools.product(["retrain"], RETRAINED)]


def marks_of(case):
    return () if case in FAST else pytest.mark.slow if case in SLOW else pytest.mark.night


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    nli = {name: str(write_task(folder / name, nli_rows(), 30)) for name in ("snli", "anli")}
    return {**write_tasks(folder), **nli}


def texts_of(task, folder):
    """A file with ten single texts of each label, which name it."""
    path = folder / f"{task.name}.jsonl"
    named = {"text": "text", "label": "label", **task.columns}
    rows = [
        {named["text"]: f"{label} {i}", named["label"]: label} for label in task.labels for i in range(10)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def metrics_of(result, name):
    return [(step, value) for key, value, step in seed_record(result).metrics if key == f"cost/{name}"]


@pytest.mark.parametrize(
    ("protocol", "scenario"),
    [pytest.param(*case, marks=marks_of(case)) for case in COMBINED],
)
def test_every_scenario_under_every_protocol(
    protocol, scenario, toy, tiny_encoder_folder, tmp_path, monkeypatch
):
    tasks = {task.name: task for task in find_scenario(scenario).specs}
    words = ["run", "--strategy", "fine_tune", "--scenario", scenario, "--protocol", protocol, "--no-audit"]
    words += [
        "--encoder",
        str(tiny_encoder_folder),
        "--set",
        "steps=2",
        "--no-curve",
        "--output",
        str(tmp_path),
    ]
    sources = {**toy, **({"wikidata": "bundled"} if scenario in NEEDS_BUNDLED else {})}
    for name, task in tasks.items():
        words += [
            "--task",
            f"{name}={texts_of(task, tmp_path) if task.inputs == 'single' else sources[name]}",
        ]
    words += ["--shots", "8"] if "wikidata" in tasks else []
    words += ["--pretrain", "steps=2"] if protocol == "retrain" else []
    words += ["--device", "cpu", "--precision", "fp32", "--json"]

    # As where the process is killed before it has sent anything.
    def refuse(*_):
        raise ContsymError("stopped before it was tracked")

    monkeypatch.setattr(tracking, "log_run", refuse)
    first = CliRunner().invoke(cli, words)
    assert str(first.exception) == "stopped before it was tracked"
    monkeypatch.setattr(tracking, "log_run", lambda *_: {})
    again = CliRunner().invoke(cli, words)
    assert again.exit_code == 0, again.exception
    assert "1 of 1 seeds are stored already" in again.stderr

    (result,) = stored_results(tmp_path)
    names = find_scenario(scenario).names
    steps = [0 if protocol == "retrain" and i == 0 else 2 for i in range(len(names))]
    assert costs(result, "training_steps") == steps
    assert json.loads(again.stdout)["seeds"][0]["cost"] == result.cost.model_dump()
    shown = CliRunner().invoke(cli, ["metrics", str(stored_runs(tmp_path)[0].folder), "--json"])
    assert json.loads(shown.stdout)["seeds"] == [0]
    # One step of MLflow for each experience, which is its row of the matrix.
    assert metrics_of(result, "training_steps") == list(enumerate(steps, 1))
    assert metrics_of(result, "pairs_seen") == [(0, sum(costs(result, "pairs_seen")))]


def test_the_cost_of_an_add_on_is_the_same_after_a_cached_first_task(toy, tiny_encoder_folder, tmp_path):
    """The first task is the bare strategy's; the pairs that ewc encodes after it are ewc's."""
    cache = FirstTaskCache(tmp_path / "first_tasks")
    changes = {"strategy": "fine_tune+ewc", "shots": 8}
    alone, _, _ = toy_run(toy, tiny_encoder_folder, tmp_path, **changes)
    toy_run(toy, tiny_encoder_folder, tmp_path, "fine_tune", shots=8, cache=cache)
    shared, _, _ = toy_run(toy, tiny_encoder_folder, tmp_path, **changes, cache=cache)
    assert untimed(shared.cost) == untimed(alone.cost)
    # Under retrain the first task is known: no step, but ewc remembers how.
    retrain = {"protocol": "retrain", "pretrain": {"steps": "6"}}
    known, _, _ = toy_run(toy, tiny_encoder_folder, tmp_path, **changes, **retrain)
    first = known.cost.experiences[0]
    assert (first.training_steps, first.pairs_seen) == (0, 0)
    # 60 pairs of two texts each.
    assert first.training_forwards == 60 * 2
    assert first.stored_bytes_after > 0


def test_values_from_python_are_stored_as_text(toy, tiny_encoder_folder, tmp_path):
    typed = {"steps": 2, "learning_rate": np.float64(0.003), "batch_size": np.int64(8)}
    sources = {"wikidata": Path(toy["wikidata"])}
    config = RunConfig(
        "fine_tune", "wikidata_only", encoder=tiny_encoder_folder, sources=sources, shots=np.int64(8), seeds=[0],
        settings=typed, device="cpu", precision="fp32", curve=False, audit=False, output=str(tmp_path),
    )  # fmt: skip
    texts = {"steps": "2", "learning_rate": "0.003", "batch_size": "8"}
    assert config.settings == texts
    plan = prepare(config)
    assert key_of(plan, 0) == key_of(prepare(replace(config, settings=texts)), 0)
    folder = store.write_result(tmp_path, *run_seed(plan, 0, Silent()))
    assert store.read_result(folder).set == texts
    assert config_of(store.read_result(folder)).settings == texts


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"settings": {"k": [1, 3]}}, "--set k=[1, 3]: expected a text, a number, True or False"),
        ({"settings": {"k": None}}, "--set k=None: expected a text, a number, True or False"),
        ({"seeds": "01"}, "--seeds '01': expected a list of whole numbers, as (0, 1, 2)"),
        ({"seeds": 3}, "--seeds 3: expected a list of whole numbers, as (0, 1, 2)"),
        ({"shots": 8.5}, "--shots 8.5: expected a whole number"),
    ],
)
def test_a_value_that_cannot_be_typed_is_refused_at_the_door(given, message):
    with pytest.raises(SettingError) as caught:
        RunConfig("knn_fixed", "wikidata_only", **given)
    assert str(caught.value) == message


def test_a_sweep_from_python_is_one_from_the_command_line(tmp_path):
    config = SweepConfig(["knn_fixed"], "wikidata_only", [8], seeds=range(2), settings={"k": (1, 3), "steps": 2},
                         output=str(tmp_path))  # fmt: skip
    assert config.settings == {"k": ("1", "3"), "steps": ("2",)}
    typed = SweepConfig(("knn_fixed",), "wikidata_only", (8,), seeds=(0, 1), settings={"k": ("1", "3"), "steps": ("2",)},
                        output=tmp_path)  # fmt: skip
    assert config == typed


def test_a_record_that_could_not_be_stored_is_refused_before_training(toy, tiny_encoder_folder, tmp_path):
    plan = prepare(toy_config(toy, tiny_encoder_folder, tmp_path, "text_labels", "wikidata_only", shots=8))
    long = replace(plan, config=replace(plan.config, settings={"words": "yes " * 3000}))

    class NoTraining(Silent):
        def phase(self, description, total):
            raise AssertionError(description)

    with pytest.raises(ContsymError, match=r"set\.words is 'yes yes "):
        run_seed(long, 0, NoTraining())


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ("1", "an older contsym wrote it: run it again with this one"),
        ("99", "a newer contsym wrote it: update this one"),
        ("null", "expected a file that contsym wrote"),
    ],
)  # fmt: skip
def test_another_format_says_what_to_do(given, remedy, tmp_path):
    (tmp_path / store.RESULT).write_text(f'{{"format": {given}}}')
    with pytest.raises(ContsymError) as caught:
        store.read_result(tmp_path)
    shown = given.replace("null", "None")
    assert str(caught.value) == (
        f"{tmp_path / store.RESULT}: format {shown}; this version reads format {FORMAT}; {remedy}"
    )
