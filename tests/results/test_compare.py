"""Runs found by name, compared, and shown by `contsym compare` and `contsym metrics`."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from contsym.checked import tell_skipped
from contsym.commands.stored import tables_of
from contsym.commands.views.compare import least_words
from contsym.results import store as results
from contsym.results.compare import compare_runs, differences_of, name_runs
from contsym.results.metrics.stats import Comparison, compare_all, p_text, summarise_values
from contsym.results.predictions import read_aligned
from contsym.sweeps.config import SweepConfig
from contsym.sweeps.find import find_row
from contsym.sweeps.job import Job
from contsym.sweeps.plan import Cell, Sweep, write_record
from contsym.sweeps.readings import Reading
from contsym.sweeps.runs import stored_runs
from tests.command import contsym_here
from tests.errors import message_of
from tests.stored_results import TASKS, key_for, make_result, plain_result, seed_folder, store_run

LABELS = ("entailment", "contradiction")
N_PAIRS = {"mnli": 60, "wikidata": 100}


def made_up_rows(accuracy, seed):
    """Predictions of which `accuracy` are right in every row, other ones with every seed."""
    generator = np.random.default_rng(seed)
    rows = []
    for task, n in N_PAIRS.items():
        right = generator.permutation(n) < round(accuracy * n)
        for i in range(n):
            label = LABELS[i % 2]
            row = {"task": task, "id": f"{task}:{i}", "label": label}
            answer = label if right[i] else LABELS[1 - i % 2]
            rows.append({**row, "row_0": answer, "row_1": answer, "row_2": answer})
    return rows


def store(output, strategy, accuracy, seeds=(0, 1, 2), **changes):
    """The name of a run whose seeds have this accuracy and a little more, or less, each."""
    name = f"{strategy}-mnli_then_wikidata-{len(stored_runs(output)):012}"

    def rows_of(seed):
        return made_up_rows(accuracy + seed / 100, seed)

    return store_run(output, name, seeds, rows_of, strategy=strategy, **changes).name


def a_seed(output, name, seed):
    """The folder of a result of a stored run."""
    return str(seed_folder(output / "runs" / name, seed))


def store_sweep(output, cells, settings=None):
    """A sweep of these (strategy, settings, shots, seed, accuracy); without accuracy a cell is not done."""
    config = SweepConfig(
        strategies=tuple(dict.fromkeys(cell[0] for cell in cells)),
        scenario="mnli_then_wikidata",
        encoder="minilm",
        protocol="sequential",
        shots=tuple(dict.fromkeys(cell[2] for cell in cells)),
        seeds=tuple(dict.fromkeys(cell[3] for cell in cells)),
        settings=settings or {},
        output=output,
    )
    planned = []
    for i, (strategy, values, shots, seed, accuracy) in enumerate(cells):
        job = Job(f"{i:064x}", config.cell(strategy, seed, shots, values))
        planned.append(Cell(job, None, 10, 0))
        if accuracy is not None:
            result = make_result(seed, key=job.key, strategy=strategy, set=values)
            results.write_result(output, result, made_up_rows(accuracy, seed), {})
    return write_record(Sweep(config, tuple(planned), "2026-01-02T03:04:05+00:00"))


# Finding runs.


def test_a_run_is_found_by_its_name_its_id_and_its_folder_and_a_result_by_its_folder(tmp_path):
    name = store(tmp_path, "knn_fixed", 0.9)
    folder = tmp_path / "runs" / name
    found = {seed: seed_folder(folder, seed) for seed in (0, 1, 2)}
    for given in (name, "knn_fixed-m", "000000000000", "0000"):
        assert find_row(given, tmp_path).folders == found
    assert find_row(str(folder), Path("elsewhere")).folders == found
    assert list(find_row(str(found[1]), Path("elsewhere")).folders) == [1]


def test_a_row_of_a_reading_is_found_by_words_of_its_name(tmp_path):
    readings = tuple(Reading({"draw": draw, "protocol": "sequential"}) for draw in ("balanced", "natural"))
    config = SweepConfig(
        ("ridge",), "mnli_then_wikidata", (64,), seeds=(0,), readings=readings, output=tmp_path
    )
    cells = []
    for i, reading in enumerate(readings):
        job = Job(f"{i:064x}", config.cell("ridge", 0, 64, {}))
        cells.append(Cell(job, None, 10, 0, reading=reading.name))
        final = {"mnli": 0.6, "wikidata": 0.9 + i / 100}
        results.write_result(
            tmp_path, make_result(key=job.key, strategy="ridge", final=final), made_up_rows(0.9, 0), {}
        )
    sweep = write_record(Sweep(config, tuple(cells), "2026-01-02T03:04:05+00:00"))
    assert list(find_row("ridge@64:draw=natural", tmp_path).folders.values()) == [sweep.done()[f"{1:064x}"]]
    assert "has 2 rows" in message_of(find_row, sweep.name, tmp_path)
    assert message_of(find_row, "ridge@64", tmp_path) == (
        "'ridge@64': the sweep has 2 readings of it; expected 'ridge@64:draw=balanced protocol=sequential' or "
        "'ridge@64:draw=natural protocol=sequential'"
    )
    shown = io.StringIO()
    Console(file=shown, width=120).print(tables_of(sweep, sweep.results(), tell_skipped))
    # Not their mean of 0.905.
    assert [n in shown.getvalue() for n in ("0.900", "0.910", "0.905")] == [True, True, False]
    assert {sweep.row_of(r)[0] for r in sweep.results()} == {f"ridge {reading.name}" for reading in readings}


def test_a_path_with_an_at_sign_is_a_path(tmp_path):
    output = tmp_path / "ada@lab"
    store(output, "knn_fixed", 0.9)
    (folder,) = (output / "runs").iterdir()
    assert list(find_row(str(folder), tmp_path).folders) == [0, 1, 2]
    # One that is too long for a file is the name of a row, which is not there.
    assert "no sweep there yet" in message_of(find_row, f"{'k' * 300}@8", tmp_path)


def test_a_cell_is_found_by_its_key_and_a_strategy_by_its_shots(tmp_path):
    cells = [(s, {}, n, seed, 0.9) for s in ("knn_fixed", "fine_tune") for n in (8, 16) for seed in (1, 0)]
    store_sweep(tmp_path, cells)
    found = find_row("fine_tune@16", tmp_path)
    assert list(found.folders) == [0, 1]
    assert {run.strategy for run in found.results.values()} == {"fine_tune"}
    assert list(found.folders.values()) == [results.result_folder(tmp_path, f"{i:064x}") for i in (7, 6)]
    assert list(find_row(f"{7:064x}", tmp_path).folders) == [0]


def test_a_strategy_with_several_settings_needs_its_settings(tmp_path):
    cells = [("knn_fixed", {"k": k}, 8, 0, 0.9) for k in ("1", "3")]
    store_sweep(tmp_path, cells, {"k": ("1", "3")})
    assert message_of(find_row, "knn_fixed@8", tmp_path) == (
        "'knn_fixed@8' could be any of 'knn_fixed k=1@8', 'knn_fixed k=3@8'; name one of them"
    )
    assert find_row("knn_fixed k=3@8", tmp_path).first.set == {"k": "3"}


def test_a_missing_run_is_an_error(tmp_path):
    assert message_of(find_row, "knn", tmp_path) == (
        f"'knn' is not there; expected latest, a run or sweep of {tmp_path}, the folder of one or of a result, or "
        "STRATEGY@SHOTS of its latest sweep; there is none yet; contsym run or sweep makes one"
    )
    assert message_of(find_row, "knn_fixed@8", tmp_path) == (
        f"--output {tmp_path}: no sweep there yet; contsym sweep --strategies ... makes one"
    )
    sweep = store_sweep(tmp_path, [("knn_fixed", {}, 8, 0, 0.9), ("knn_fixed", {}, 8, 1, None)])
    of = f"is not in the sweep {sweep.id}"
    assert message_of(find_row, "knn_fixed@9", tmp_path) == (
        f"'knn_fixed@9' {of}: its shots are 8; expected 'knn_fixed@8'"
    )
    assert message_of(find_row, "knn_fixd", tmp_path).endswith("did you mean 'knn_fixed@8'?")
    assert message_of(find_row, "lastest", tmp_path).endswith("did you mean 'latest'?")
    assert message_of(find_row, "minilm-nli", tmp_path) == (
        "'minilm-nli' is an encoder's name; expected a stored run, or a model saved by --save-model"
    )
    assert message_of(find_row, "knn_fixd@8", tmp_path) == f"'knn_fixd@8' {of}: did you mean knn_fixed?"
    assert message_of(find_row, "knn_fixed@8", tmp_path) == (
        f"'knn_fixed@8': the seeds 1 of the sweep {sweep.id} are not done; contsym sweep --resume does them"
    )
    assert message_of(find_row, sweep.id, tmp_path / "none").startswith(
        f"'{sweep.id}' is not there; expected latest"
    )


def test_names_are_as_short_as_they_can_be(tmp_path):
    runs = [store(tmp_path, name, 0.9) for name in ("knn_fixed", "knn_fixed", "fine_tune")]
    found = [find_row(run, tmp_path) for run in runs]
    assert list(name_runs(found)) == [runs[0], runs[1], "fine_tune"]
    seeds = [find_row(a_seed(tmp_path, run, 0), tmp_path) for run in runs[:2]]
    assert list(name_runs(seeds)) == [key_for(run, 0) for run in runs[:2]]


def test_the_same_run_twice_is_refused(tmp_path):
    name = store(tmp_path, "knn_fixed", 0.9)
    other = a_seed(tmp_path, name, 0)
    assert message_of(name_runs, [find_row(given, tmp_path) for given in (name, other)]) == (
        f"{name} and {other} are the same run; expected different ones"
    )


# Comparing.


def three(output):
    names = [store(output, *of) for of in (("knn_fixed", 0.95), ("fine_tune", 0.6), ("zero_shot", 0.5))]
    return name_runs([find_row(name, output) for name in names])


def test_figures_are_those_of_the_functions(tmp_path):
    runs = three(tmp_path)
    mnli, wikidata = compare_runs(runs)
    assert (mnli.task, wikidata.task, wikidata.n_seeds, wikidata.n_items) == ("mnli", "wikidata", 3, 100)
    _, _, correct = read_aligned({name: run.folders for name, run in runs.items()}, "wikidata")
    assert wikidata.comparisons == compare_all(correct)
    assert wikidata.accuracies["knn_fixed"] == summarise_values([0.95, 0.96, 0.97])
    assert wikidata.best == "knn_fixed"
    assert mnli.forgetting["knn_fixed"] == pytest.approx((0.2, 0.19, 0.18))
    assert wikidata.forgetting["knn_fixed"] == ()


def test_no_run_is_best_because_two_seeds_happen_to_agree(tmp_path):
    """Equal differences have no deviation, which would make every difference a sure one."""
    names = [store(tmp_path, "ridge", 0.95, seeds=(0, 1)), store(tmp_path, "fine_tune", 0.87, seeds=(0, 1))]
    rows = name_runs([find_row(name, tmp_path) for name in names])
    (wikidata,) = compare_runs(rows, "wikidata")
    assert (wikidata.best, round(wikidata.comparisons[0].p_seeds, 3)) == (None, 0.056)


def test_one_task_can_be_named_and_must_be_there(tmp_path):
    runs = three(tmp_path)
    assert [each.task for each in compare_runs(runs, "mnli")] == ["mnli"]
    assert (
        message_of(compare_runs, runs, "mnl")
        == "--task mnl: knn_fixed has none of that name; did you mean mnli?"
    )


def of_one_task(task):
    """What a result has of one of its tasks."""
    own = {
        name: {task: value[task]}
        for name, value in plain_result().items()
        if isinstance(value, dict) and task in value
    }
    return {
        **own,
        "tasks": [task],
        "forgetting": {},
        "matrix": [[0.5], [0.9]],
        "loss": [[0.1]],
        "trajectory": [],
    }


def test_runs_without_a_common_task_are_refused(tmp_path):
    names = [
        store(tmp_path, s, 0.9, **of_one_task(t))
        for s, t in zip(("knn_fixed", "fine_tune"), TASKS, strict=True)
    ]
    runs = name_runs([find_row(name, tmp_path) for name in names])
    assert message_of(compare_runs, runs) == (
        "the runs have no task in common: knn_fixed has mnli; fine_tune has wikidata"
    )


def test_other_differences_are_listed(tmp_path):
    names = [store(tmp_path, "knn_fixed", 0.9), store(tmp_path, "fine_tune", 0.9, encoder="roberta-large")]
    runs = name_runs([find_row(name, tmp_path) for name in names])
    assert differences_of(runs) == {"encoder": {"knn_fixed": "minilm", "fine_tune": "roberta-large"}}


# In words.


@pytest.mark.parametrize(
    ("least", "n_seeds", "words"),
    [(None, 1, "-"), (0.0, 3, "-"), (0.0342, 3, "0.034"), (1.0, 3, "1.000"), (None, 2, "none")],
)
def test_the_least_difference_in_words(least, n_seeds, words):
    pair = Comparison("a", "b", 0.1, 0, 0.2, 0.01, 0.01, 0.01, 0.01, least, n_seeds, 100)
    assert least_words(pair) == words


def test_a_small_p_is_only_said_to_be_small():
    assert [p_text(p) for p in (1.0, 0.0312, 0.001, 0.0004)] == ["1.000", "0.031", "0.001", "< 0.001"]


# The commands.


def test_compare_shows_accuracies_pairs_and_the_best(tmp_path):
    runs = three(tmp_path)
    done = contsym_here(
        "compare", *[run.name for run in runs.values()], "--output", ".", cwd=tmp_path, COLUMNS="80"
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "Accuracy, wikidata (100 test pairs, 3 seeds)" in lines
    assert "knn_fixed 0.960±0.010 0.950 to 0.970 - (last task) best" in lines
    assert "knn_fixed 0.961±0.010 0.950 to 0.967 +0.190±0.010 best" in lines
    (line,) = [line for line in lines if line.startswith("fine_tune - zero_shot")][1:]
    assert line.startswith("fine_tune - zero_shot +0.100 ")
    assert "best on wikidata: knn_fixed (better than each other run, corrected p < 0.05)" in lines
    seen = "! minilm was trained on MNLI before: no figure here is of an encoder new to MNLI"
    assert " ".join(lines).count(seen) == 1
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_compare_says_where_no_best_is_shown(tmp_path):
    names = [store(tmp_path, "knn_fixed", 0.9), store(tmp_path, "fine_tune", 0.88)]
    done = contsym_here("compare", *names, "--output", ".", "--task", "mnli", cwd=tmp_path)
    assert "best on mnli: none; knn_fixed is not shown to be better than fine_tune" in done.stdout
    seeds = [a_seed(tmp_path, name, 0) for name in names]
    done = contsym_here("compare", *seeds, "--task", "mnli", cwd=tmp_path)
    assert "best on mnli: unknown with one seed" in done.stdout
    assert "! one seed: intervals and tests are about the test data and say nothing of other seeds" in (
        " ".join(done.stdout.split())
    )


def test_compare_shows_the_number_and_its_mark(tmp_path):
    marks = {"learned": {"mnli": False, "wikidata": True}, "forgetting": {"mnli": 0.125}}
    names = [store(tmp_path, "knn_fixed", 0.9, **marks), store(tmp_path, "fine_tune", 0.88)]
    done = contsym_here("compare", *names, "--output", ".", "--task", "mnli", cwd=tmp_path)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("  knn_fixed  ")]
    assert "+0.125±0.000" in line
    assert "! knn_fixed, mnli: not learned" in done.stdout


def test_compare_prints_json_and_nothing_else(tmp_path):
    runs = three(tmp_path)
    given = [run.name for run in runs.values()]
    done = contsym_here("compare", *given, "--output", ".", "--json", cwd=tmp_path)
    printed = json.loads(done.stdout)
    assert list(printed["runs"]) == ["knn_fixed", "fine_tune", "zero_shot"]
    assert printed["runs"]["fine_tune"]["seeds"] == [0, 1, 2]
    assert printed["tasks"]["wikidata"]["best"] == "knn_fixed"
    first = printed["tasks"]["wikidata"]["comparisons"][0]
    assert (first["a"], first["b"], first["n_items"]) == ("knn_fixed", "fine_tune", 100)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compare",), "Missing argument 'RUN RUN...'. (contsym compare --help)"),
        (("compare", "a"), "compare: only a was given; expected two runs or more"),
        (
            ("compare", "a", "b"),
            "'a' is not there; expected latest, a run or sweep of mlruns, the folder of one or of a result, or "
            "STRATEGY@SHOTS of its latest sweep; there is none yet; contsym run or sweep makes one",
        ),
        (
            ("metrics", "none.csv"),
            "none.csv is not there; expected a result.json, the folder of a run or a result, or a CSV "
            "file with a matrix",
        ),
        (
            ("metrics", "none.csv", "--convention", "avalance"),
            "Invalid value for '--convention': 'avalance' is not one of 'chaudhry', 'lopez-paz', 'avalanche', "
            "'mammoth'. (contsym metrics --help)",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, tmp_path):
    done = contsym_here(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")


def test_other_seeds_are_refused_on_the_command_line(tmp_path):
    names = [store(tmp_path, "knn_fixed", 0.9), store(tmp_path, "fine_tune", 0.9, seeds=(0, 1))]
    done = contsym_here("compare", *names, "--output", ".", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: knn_fixed has the seeds 0,1,2, fine_tune has 0,1; a comparison needs the same seeds in every run\n"
    )


def test_metrics_prints_every_convention_with_formula_and_source(tmp_path):
    run = store_run(tmp_path, "run", [0, 1], learned={"mnli": False, "wikidata": True})
    done = contsym_here("metrics", run, cwd=tmp_path, COLUMNS="100")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[1] == "T = 2: mnli, wikidata; seeds 0, 1"
    assert lines[2] == "! mnli: not learned, right after its own training"
    assert lines[3] == "! wikidata: not above the best shortcut, right after its own training"
    assert "chaudhry: Chaudhry et al. 2018, Riemannian walk (ECCV), section 3" in lines
    # 0.8 - 0.60 and 0.8 - 0.61.
    assert "forgetting 0.195±0.007 1/(T-1) sum_{j=1..T-1} (max_{i=1..T-1} R[i,j] - R[T,j])" in lines
    assert "BWT -0.195±0.007 1/(T-1) sum_{j=1..T-1} (R[T,j] - R[j,j])" in lines
    names = ("lopez-paz", "avalanche", "mammoth")
    assert [line.split(":")[0] for line in lines if line.split(":")[0] in names] == [*names]


def test_metrics_of_a_csv_file_as_json(tmp_path):
    (tmp_path / "matrix.csv").write_text(
        "after,mnli,wikidata\nuntrained,0.34,0.5\nmnli,0.8,0.4\nwikidata,0.6,0.95\n"
    )
    done = contsym_here("metrics", "matrix.csv", "--convention", "avalanche", "--json", cwd=tmp_path)
    printed = json.loads(done.stdout)
    assert list(printed["conventions"]) == ["avalanche"]
    found = {name: f["mean"] for name, f in printed["conventions"]["avalanche"]["figures"].items()}
    assert found == pytest.approx({"stream accuracy": None, "forgetting": 0.2, "BWT": -0.2, "FWT": -0.1})
    shown = contsym_here("metrics", "matrix.csv", "--convention", "avalanche", cwd=tmp_path).stdout
    assert "stream accuracy -" in " ".join(shown.split())
    assert "(needs the n_j, which a CSV file does not have)" in " ".join(shown.split())
