"""Runs and sweeps from Python: the same results as the command line's, as tables."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from datasets import ClassLabel, Dataset

import contsym
from contsym.api import inputs
from contsym.errors import ContsymError, SettingError
from tests.command import contsym_here

QUICK = {"learning_rate": "3e-3", "steps": 6}


def output_of(*words):
    done = contsym_here(*words, cwd=Path.cwd())
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(path):
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def options(toy, tiny_encoder_folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("api")
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
    assert written == [rows] * 3
    parts = inputs.source("wikidata", {"train": frame, "test": rows[:4]}, tmp_path)
    assert [len(read(f"{parts}/{part}.jsonl")) for part in ("train", "test")] == [len(rows), 4]
    with pytest.raises(SettingError, match="wikidata: int; expected a path, a DataFrame"):
        inputs.source("wikidata", 5, tmp_path)


def test_a_scenario_is_a_dict(options):
    scenario = {"name": "one_relation", "summary": "Pairs alone.", "experience": [{"task": "wikidata"}]}
    run = contsym.run("ncm", scenario, shots=8, **{k: v for k, v in options.items() if k != "mnli"})
    assert run.matrix.columns.tolist() == ["wikidata"]
    with pytest.raises(SettingError, match="letters, digits and _"):
        contsym.run("ncm", {**scenario, "name": "a b"}, **options)


def test_mistakes_are_told_as_on_the_command_line(tmp_path):
    with pytest.raises(SettingError, match="option 'encodr' is unknown; did you mean encoder"):
        contsym.run("ncm", encodr="minilm", output=tmp_path)
    with pytest.raises(SettingError, match="--seeds '3': expected a list of whole numbers"):
        contsym.run("ncm", seeds="3", output=tmp_path)
    with pytest.raises(SettingError, match="strategy: int; expected a name or a subclass"):
        contsym.run(5, output=tmp_path)


def test_a_run_leaves_the_environment_as_it_was(options, tmp_path):
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
        f"sweep = contsym.sweep(['ncm', 'ridge'], 'wikidata_only', shots=[8], seeds=[0], jobs=2, **{given!r})\n"
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
