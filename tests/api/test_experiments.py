"""Runs and sweeps from Python: the same results as the command line's, as tables."""

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from datasets import ClassLabel, Dataset

import contsym
from contsym.api import inputs
from contsym.config import CellOptions, _kinds
from contsym.data.readers import read_rows
from contsym.data.sources import load_task
from contsym.errors import ContsymError, DataError, EncoderError, SettingError
from contsym.results.compare import StoredRow
from contsym.scenarios.catalog import find_scenario
from tests.command import contsym_here
from tests.errors import message_of
from tests.stored_results import TASKS, make_result, store_run, store_sweep

QUICK = {"learning_rate": "3e-3", "steps": 6}


def output_of(*words):
    done = contsym_here(*words, cwd=Path.cwd())
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(path):
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def options(toy, tiny_encoder_folder, tmp_path_factory, mlflow_template):
    output = tmp_path_factory.mktemp("api")
    shutil.copy(mlflow_template, output / "mlflow.db")
    return {"output": output, "encoder": tiny_encoder_folder, "protocol": "sequential", "mnli": toy["mnli"],
            "wikidata": toy["wikidata"], "device": "cpu", "precision": "fp32"}  # fmt: skip


@pytest.fixture(scope="module")
def runs(options):
    return [
        contsym.run(name, "mnli_then_wikidata", shots=8, seeds=range(2), settings=QUICK, **options)
        for name in ("knn_fixed", "fine_tune")
    ]


def test_tables_are_means_of_the_stored_results(runs):
    knn, _ = runs
    one, other = knn.results
    assert knn.matrix.index.tolist() == ["start", "mnli", "wikidata"]
    assert np.allclose(knn.matrix.to_numpy(), (np.array(one.matrix) + np.array(other.matrix)) / 2)
    assert knn.forgetting["mnli"].tolist() == [r.matrix[1][0] - r.matrix[2][0] for r in (one, other)]
    distinct = [r.sample_efficiency["wikidata"].n_distinct_pairs for r in (one, other)]
    assert knn.samples_needed["wikidata"].isna().tolist() == [n is None for n in distinct]
    assert knn.samples_needed["wikidata"].dropna().tolist() == [n for n in distinct if n is not None]
    frame = knn.to_frame()
    assert frame["task"].tolist() == ["mnli", "wikidata"] * 2
    assert frame["accuracy"].tolist() == [r.final[t] for r in (one, other) for t in r.tasks]
    predictions = knn.predictions("wikidata")
    is_right = (predictions["after wikidata"] == predictions["label"]).groupby(predictions["seed"]).mean()
    assert is_right.tolist() == [one.final["wikidata"], other.final["wikidata"]]
    assert "knn_fixed" in knn._repr_html_() and "Accuracy against forgetting" in knn.figures()
    with pytest.raises(ContsymError, match="did you mean wikidata"):
        knn.predictions("wikdata")


def test_the_command_line_gives_the_same_results_and_finds_them_stored(runs, options):
    knn, _ = runs
    names = ("output", "encoder", "protocol", "mnli", "wikidata", "device", "precision")
    given = [word for name in names for word in (f"--{name}", str(options[name]))]
    sets = [word for name, value in QUICK.items() for word in ("--set", f"{name}={value}")]
    told = output_of("run", "--strategy", "knn_fixed", "--scenario", "mnli_then_wikidata", "--shots", "8", "--seeds",
                     "0,1", *given, *sets, "--json")  # fmt: skip
    assert json.loads(told)["run"] == knn.name
    assert [seed["key"] for seed in json.loads(told)["seeds"]] == [r.key for r in knn.results]


def test_runs_are_compared_as_on_the_command_line(runs, options):
    compared = contsym.compare(*runs)
    assert list(compared) == ["mnli", "wikidata"]
    pair = compared["wikidata"]
    means = [run.matrix.loc["wikidata", "wikidata"] for run in runs]
    assert pair.difference == pytest.approx(means[0] - means[1])
    low, high = pair.interval
    assert low <= pair.difference <= high and 0 <= pair.p <= 1
    told = json.loads(
        output_of("compare", *(run.name for run in runs), "--output", str(options["output"]), "--json")
    )
    assert told["tasks"]["wikidata"]["comparisons"][0]["p"] == pair.p
    assert len(compared.to_frame()) == 2 and "wikidata:" in repr(compared)
    with pytest.raises(SettingError, match=r"only knn_fixed.* was given"):
        contsym.compare(runs[0])


def made_up_rows(n, seed):
    """Predictions of which n of ten, or one more, are right."""
    answers = ["entailment" if i < n + seed % 2 else "neutral" for i in range(10)]
    return [
        {
            "task": task,
            "id": f"{task}:{i}",
            "label": "entailment",
            "row_0": each,
            "row_1": each,
            "row_2": each,
        }
        for task in TASKS
        for i, each in enumerate(answers)
    ]


def test_one_run_in_two_outputs_is_compared_by_its_folders(tmp_path):
    for output, n in (("a", 4), ("b", 7)):
        store_run(tmp_path / output, "knn_fixed-0123456789ab", (0, 1, 2), partial(made_up_rows, n))
    runs = [contsym.load("knn_fixed", tmp_path / output) for output in ("a", "b")]
    compared = contsym.compare(*runs)
    assert list(compared.rows) == [str(run.folder) for run in runs]
    assert compared["wikidata"].difference == pytest.approx(-0.3)


def test_several_results_of_a_seed_are_no_row_to_compare():
    message = message_of(StoredRow.of, "orders", {Path("one"): make_result(0), Path("other"): make_result(0)})
    assert message == (
        "'orders' has several results of one seed, as of several orders; expected one, as the folder one or other"
    )


def test_a_stored_run_is_loaded_by_its_name(runs, options):
    knn, _ = runs
    for name in (knn.name, knn.stored.id, str(knn.folder)):
        assert contsym.load(name, options["output"]).matrix.equals(knn.matrix)
    with pytest.raises(ContsymError, match="is not there"):
        contsym.load("nothing", options["output"])


def test_pairs_in_memory_are_the_pairs_of_a_file(toy, tmp_path):
    rows = read(f"{toy['wikidata']}/train.jsonl")
    names = ["entailment", "neutral", "contradiction"]
    numbered = [{**row, "label": names.index(row["label"])} for row in rows]
    dataset = Dataset.from_list(numbered).cast_column("label", ClassLabel(names=names))
    frame = pd.DataFrame(rows).assign(nothing=np.nan)
    written = [read(inputs.source("wikidata", given, tmp_path)) for given in (rows, frame, dataset)]
    assert written[1][0]["nothing"] is None
    assert [[{k: v for k, v in row.items() if v is not None} for row in each] for each in written] == [
        rows
    ] * 3
    parts = inputs.source("wikidata", {"train": frame, "test": rows[:4]}, tmp_path)
    assert [len(read(f"{parts}/{part}.jsonl")) for part in ("train", "test")] == [len(rows), 4]
    for given in (5, Dataset.from_list(rows).to_iterable_dataset(), ["a.csv"]):
        with pytest.raises(
            SettingError, match=f"wikidata: {type(given).__name__}; expected a path, a DataFrame"
        ):
            inputs.source("wikidata", given, tmp_path)
    with pytest.raises(SettingError, match="wikidata: train is a path; expected a table for each part"):
        inputs.source("wikidata", {"train": "train.csv"}, tmp_path)


def test_a_value_in_memory_is_that_of_a_file(tmp_path):
    row = {"premise": ["The", "cat"], "hypothesis": "b", "label": "neutral", "skills": ["spatial", "logic"]}
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(row) + "\n")
    arrays = pd.DataFrame([{**row, "premise": np.array(["The", "cat"]), "relation": pd.NA, "day": pd.NaT}])
    forms = [[row], pd.DataFrame([row]), arrays, Dataset.from_list([row]), pa.Table.from_pylist([row])]
    files = [path, *(Path(inputs.source("mnli", given, tmp_path)) for given in forms)]
    (expected, *found) = ([each for _, each in read_rows(file)] for file in files)
    assert expected[0]["premise"] == "The cat" and expected[0]["skill"] == ["spatial", "logic"]
    assert found == [expected] * len(forms)


def test_a_value_that_no_file_could_have_is_refused_in_one_line(tmp_path):
    row = {"premise": "a", "hypothesis": "b", "label": "neutral"}
    message = message_of(inputs.source, "mnli", [row, {**row, "premise": b"a"}], tmp_path)
    assert message == "mnli: row 2: premise is bytes; expected text, a number or a list of these"
    half = inputs.source("mnli", [row, {**row, "premise": "a\ud800b"}], tmp_path)
    with pytest.raises(DataError, match=r":2: premise has half a surrogate pair; expected Unicode text"):
        load_task("mnli", half)


def test_a_scenario_is_a_dict(options):
    scenario = {"name": "one_relation", "summary": "Pairs alone.", "experience": [{"task": "wikidata"}]}
    run = contsym.run("ncm", scenario, shots=8, **{k: v for k, v in options.items() if k != "mnli"})
    assert run.matrix.columns.tolist() == ["wikidata"]
    with pytest.raises(SettingError, match="letters, digits and _"):
        contsym.run("ncm", {**scenario, "name": "a b"}, **options)


def test_a_source_in_a_dict_is_seen_from_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = {
        "summary": "Mine.",
        "labels": ["a", "b"],
        "inputs": "single",
        "source": "mine.jsonl",
        "title": None,
    }
    path = inputs.scenario({"summary": "It.", "experience": "mine", "task": {"mine": task}}, tmp_path / "out")
    (spec,) = find_scenario(path).specs
    assert spec.source == str(Path.cwd() / "mine.jsonl")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"experience": ["mnli", None]}, "scenario: experience 2 is None; expected a dict, as a table"),
        ({"task": "mnli"}, "scenario: task is 'mnli'; expected a dict, as a table of a scenario's file"),
        ({"task": {"mine": "a.csv"}}, "scenario: task mine is 'a.csv'; expected a dict, as a table"),
        ({"experience": [{"task": object}]}, "Object of type type is not JSON serializable; expected texts"),
    ],
)
def test_a_dict_that_is_no_scenario_is_told_in_one_line(entries, message, tmp_path):
    assert message in message_of(inputs.scenario, {"summary": "It.", **entries}, tmp_path)


def test_mistakes_are_told_as_on_the_command_line(tmp_path):
    with pytest.raises(SettingError, match="option 'encodr' is unknown; did you mean encoder"):
        contsym.run("ncm", encodr="minilm", output=tmp_path)
    with pytest.raises(SettingError, match="option 'shot' is unknown; did you mean shots"):
        contsym.run("ncm", shot=16, output=tmp_path)
    with pytest.raises(SettingError, match="option 'seed' is unknown; did you mean seeds"):
        contsym.sweep("ncm", seed=1, output=tmp_path)
    with pytest.raises(SettingError, match="--seeds '3': expected a list of whole numbers"):
        contsym.run("ncm", seeds="3", output=tmp_path)
    with pytest.raises(SettingError, match="strategy: int; expected a name or a subclass"):
        contsym.run(5, output=tmp_path)
    with pytest.raises(EncoderError, match="encoder '' is no preset and no folder"):
        contsym.run("ncm", "wikidata_only", encoder="", output=tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"protocol": "Retrain"}, "--protocol 'Retrain': did you mean retrain?"),
        ({"form": "delex"}, "--form 'delex': did you mean delexicalised?"),
        ({"precision": "bfloat16"}, "--precision 'bfloat16': did you mean bf16?"),
        ({"split": "relations"}, "--split 'relations': did you mean relation?"),
        ({"draw": "even"}, "--draw 'even': expected one of balanced, natural"),
        ({"until": "0.99"}, "--until '0.99': expected a number"),
        ({"label_noise": "0.1"}, "--label-noise '0.1': expected a number"),
        ({"limit": "100"}, "--limit '100': expected a whole number"),
        ({"shots": True}, "--shots True: expected a whole number"),
        ({"seeds": None}, "--seeds None: expected a whole number"),
        ({"seeds": 3.0}, "--seeds 3.0: expected a whole number"),
        ({"audit": "no"}, "audit='no': expected True or False"),
        ({"adapter": 16}, "--adapter 16: expected lora:RANK, as lora:16"),
        ({"pretrain": "steps=3"}, "--pretrain 'steps=3': expected a dict, as {'steps': 20}"),
    ],
)
def test_an_option_of_another_kind_is_refused_with_what_was_meant(given, message, tmp_path):
    for function, name in ((contsym.run, "ncm"), (contsym.sweep, ["ncm"])):
        assert message_of(function, name, "wikidata_only", output=tmp_path, **given) == message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"select": "val"}, "--select 'val': expected one of validation"),
        ({"jobs": "2"}, "--jobs '2': expected a whole number"),
        ({"settings": "k=5"}, "settings: str; expected a dict, or the Settings of a strategy"),
        ({"readings": [{"one_pas": True}]}, "reading 1: 'one_pas' is unknown; did you mean one_pass?"),
    ],
)
def test_an_option_of_sweeps_alone_is_refused_too(given, message, tmp_path):
    assert message_of(contsym.sweep, "ncm", "wikidata_only", output=tmp_path, **given) == message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"precision": "bfloat16"}, "--precision 'bfloat16': did you mean bf16?"),
        ({"form": "delex"}, "--form 'delex': did you mean delexicalised?"),
        ({"limit": "100"}, "--limit '100': expected a whole number"),
        ({"tasks": ["a.csv"]}, "tasks: list; expected a dict by the name of a task"),
        ({"tasks": {"a": {"premise": []}}}, "a: dict; expected a path, a DataFrame, or a list of dicts"),
    ],
)
def test_an_option_of_diff_of_another_kind_is_refused(given, message):
    assert message_of(contsym.diff, "minilm", "minilm-nli", **given) == message


@pytest.fixture
def config_of(monkeypatch):
    """The config that a call makes, of which nothing is trained."""

    class Made(Exception):
        pass

    def make(config, *_):
        raise Made(config)

    monkeypatch.setattr("contsym.api.functions.make_run", make)
    monkeypatch.setattr("contsym.api.functions.make_sweep", make)

    def called(function, *arguments, **options):
        with pytest.raises(Made) as made:
            function(*arguments, **options)
        return made.value.args[0]

    return called


def test_a_lone_value_is_a_list_of_one_and_a_number_of_numpy_is_a_number(config_of, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('summary = "Mine."\n[[experience]]\ntask = "wikidata"\n')
    named = {"shots": 16, "seeds": np.int64(3), "plugins": file, "until": 1, "device": torch.device("cpu")}
    found = config_of(contsym.sweep, "ncm", "mine", readings={"draw": ["natural", "balanced"]}, **named)
    assert (found.strategies, found.shots, found.seeds) == (("ncm",), (16,), (0, 1, 2))
    assert (found.plugins, found.device, repr(found.until)) == ((str(file),), "cpu", "1.0")
    assert [reading.name for reading in found.readings] == ["draw=natural", "draw=balanced"]
    assert config_of(contsym.sweep, "ncm", "wikidata_only", shots="least").shots == ("least",)
    single = config_of(contsym.run, "ncm", "mine", plugins=str(file), limit=np.int64(9), curve=np.False_)
    assert (single.plugins, single.limit, single.curve) == ((str(file),), 9, False)


def test_every_option_that_is_no_free_text_knows_its_kind():
    free = {"encoder", "pooling", "adapter", "device", "plugins", "output", "sources", "sizes", "pretrain"}
    assert set(_kinds(CellOptions)) == set(CellOptions.__dataclass_fields__) - free


def test_home_is_not_a_folder_of_this_name(config_of, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for function in (contsym.run, contsym.sweep):
        rows = [{"premise": "a", "hypothesis": "b", "label": "entailment"}]
        found = config_of(function, "ncm", "wikidata_only", wikidata=rows, output="~/runs")
        assert found.output == tmp_path / "runs"
        assert found.sources["wikidata"].startswith(f"{tmp_path}/runs/inputs/")


def test_pairs_in_memory_need_a_folder_that_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    rows = [{"premise": "a", "hypothesis": "b", "label": "entailment"}]
    output = tmp_path / "file" / "out"
    assert message_of(contsym.run, "ncm", "wikidata_only", wikidata=rows, output=output) == (
        f"--output {output} cannot be written (Not a directory); expected a folder that you may write to"
    )


def test_a_run_leaves_the_environment_as_it_was(options, tmp_path, mlflow_template):
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    # OpenMP's libraries set variables of their own when they are imported.
    before = {name: value for name, value in os.environ.items() if not name.startswith("KMP_")}
    given = {name: value for name, value in options.items() if name != "mnli"}
    contsym.run("ncm", "wikidata_only", shots=8, **{**given, "output": tmp_path})
    assert {name: v for name, v in os.environ.items() if not name.startswith("KMP_")} == before


@pytest.mark.slow
def test_a_script_without_a_guard_sweeps_once(options, tmp_path):
    given = {name: str(value) for name, value in options.items() if name != "mnli"}
    script = tmp_path / "script.py"
    script.write_text(
        "import contsym\nprint('started')\n"
        f"sweep = contsym.sweep(['ncm', 'ridge'], 'wikidata_only', shots=[8], seeds=[0], jobs=1, **{given!r})\n"
        "print(len(sweep.results), sweep.matrix.index.names)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert done.stdout.split("\n")[:2] == ["started", "2 ['strategy', 'shots', 'after']"], done.stderr


def test_importing_contsym_loads_nothing_heavy():
    code = (
        "import contsym, sys; dir(contsym); print({'torch', 'numpy', 'pandas', 'mlflow'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
    for name in contsym.__all__:
        assert getattr(contsym, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        contsym.nothing  # noqa: B018


def test_the_page_of_a_sweep_names_each_reading_and_has_a_dash_for_what_was_not_measured(tmp_path):
    sweep = store_sweep(tmp_path, strategies=["knn_fixed"], shots=[8, 16], seeds=[0, 1], with_view=False)
    page = contsym.load(sweep.name, output=tmp_path)._repr_html_()
    assert "8 pairs, 8 steps; 16 pairs, 8 steps" in page
    # MNLI has no number of pairs that reached the target.
    assert "<td>-</td>" in page and "NA" not in page and "0.060" in page
