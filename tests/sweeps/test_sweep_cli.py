"""`contsym sweep` as a user types it: in parallel, resumed, failing, and what MLflow has of it."""

import io
import json
import shutil
from collections import Counter
from dataclasses import replace

import pytest
from rich.console import Console

from contsym.commands.views.sweep import sweep_report
from contsym.results import tracking
from contsym.results.store import result_folder
from contsym.sweeps.runs import latest_sweep, read_run
from contsym.sweeps.tracking import sweep_record, untracked
from tests.command import contsym, contsym_here
from tests.stored_results import plain_result, store_run
from tests.sweeps.here import cells_here
from tests.sweeps.toy_sweep import arguments, cells, read_json, write_tasks


@pytest.fixture(scope="module")
def swept(tiny_encoder_folder, tmp_path_factory, mlflow_template):
    """A sweep of eight cells, trained in this process: its folder, its arguments and what it printed."""
    folder = tmp_path_factory.mktemp("swept")
    sources = write_tasks(folder)
    words = arguments(sources, tiny_encoder_folder, with_database(folder / "mlruns", mlflow_template))
    with cells_here():
        done = contsym_here(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, words, done


def with_database(output, template):
    """An output folder with an empty MLflow database."""
    output.mkdir()
    shutil.copy(template, output / "mlflow.db")
    return output


@pytest.mark.slow
def test_two_processes_find_what_one_process_found(swept, tmp_path, mlflow_template):
    folder, words, _ = swept
    output = with_database(tmp_path / "mlruns", mlflow_template)
    done = contsym(*words[:-1], output, "--jobs", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert cells(output) == cells(folder / "mlruns")


def runs(folder):
    from mlflow import MlflowClient

    client = MlflowClient(tracking.default_uri(folder / "mlruns"))
    experiment = client.get_experiment_by_name("contsym/mnli_then_wikidata")
    found = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in found if "contsym.seed" not in run.data.tags]
    return client, parent, [run for run in found if run is not parent]


def points(client, run, key):
    return [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, key)]


def test_the_table_has_a_row_a_number_of_shots(swept):
    _, _, done = swept
    lines = done.stdout.splitlines()
    (head,) = [line for line in lines if "fine_tune" in line and "knn_fixed" in line][:1]
    assert head.split() == ["shots", "fine_tune", "knn_fixed", "majority", "class"]
    rows = [line.split() for line in lines if line.strip().startswith(("8 ", "16 "))]
    assert [row[0] for row in rows] == ["8", "16", "8", "16"]
    assert "contsym report --output" in done.stdout
    assert "8 cells, 0 of them done" in done.stderr
    assert "4 first tasks for 8 cells: 48 training steps in place of 64" in done.stderr


def test_mlflow_has_a_run_a_sweep_a_child_a_cell_and_a_point_a_number_of_shots(swept):
    folder, _, _ = swept
    client, parent, children = runs(folder)
    assert len(children) == 8
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {(r.data.params["strategy"], r.data.params["seed"], r.data.params["shots"]) for r in children} == {
        (strategy, seed, shots)
        for strategy in ("fine_tune", "knn_fixed")
        for seed in ("0", "1")
        for shots in ("8", "16")
    }
    results = latest_sweep(folder / "mlruns").results()
    for strategy in ("fine_tune", "knn_fixed"):
        expected = []
        for shots in (8, 16):
            own = [r for r in results if r.strategy == strategy and r.options.shots == shots]
            expected.append((shots, pytest.approx(sum(r.final["wikidata"] for r in own) / 2)))
        assert sorted(points(client, parent, f"accuracy/wikidata/{strategy}")) == expected


def test_the_same_command_again_trains_and_sends_nothing(swept):
    folder, words, _ = swept
    before = cells(folder / "mlruns")
    done = contsym_here(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "8 cells, 8 of them done" in done.stderr
    assert cells(folder / "mlruns") == before
    client, parent, children = runs(folder)
    assert len(children) == 8
    assert len(points(client, parent, "accuracy/wikidata/knn_fixed")) == 2
    assert not untracked(latest_sweep(folder / "mlruns"), tracking.default_uri(folder / "mlruns"))


def test_it_is_among_the_runs_and_shown_as_it_was_printed(swept):
    folder, _, first = swept
    sweep = latest_sweep(folder / "mlruns")
    done = contsym_here("runs", cwd=folder)
    (row,) = [line.split() for line in done.stdout.splitlines() if sweep.id[:8] in line]
    assert "8/8" in row
    done = contsym_here("show", "latest", cwd=folder)
    assert done.returncode == 0 and done.stdout.strip() in first.stdout
    found = read_json(contsym_here("show", sweep.id[:6], "--json", cwd=folder))
    assert [cell["state"] for cell in found["cells"]] == ["done"] * 8
    assert found["cells"][0]["matrix"]


def test_a_dry_run_shows_the_cells_and_makes_nothing(swept):
    folder, words, _ = swept
    places = words[:-1]
    plan = read_json(contsym_here(*places, "elsewhere", "--dry-run", "--json", cwd=folder))
    assert [cell["stored"] for cell in plan["cells"]] == [False] * 8
    # Four steps for each of two tasks.
    assert {cell["steps"] for cell in plan["cells"]} == {8}
    assert not (folder / "elsewhere").exists()
    plan = read_json(contsym_here(*words, "--dry-run", "--json", cwd=folder))
    assert [cell["stored"] for cell in plan["cells"]] == [True] * 8
    done = contsym_here(*words, "--dry-run", cwd=folder)
    assert "8 cells, 8 of them done" in done.stdout and "nothing was trained or stored" in done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("no_workers")
def test_a_cell_that_cannot_be_stored_fails_alone_and_is_tried_again(swept):
    folder, _, _ = swept
    sweep = latest_sweep(folder / "mlruns")
    key = sweep.cells[3].key
    stored = result_folder(folder / "mlruns", key)
    aside = stored.rename(folder / "aside")
    stored.write_text("in the way")
    done = contsym_here("sweep", "--resume", "--output", str(folder / "mlruns"), "--json", cwd=folder)
    assert done.returncode == 1
    assert [cell["state"] for cell in json.loads(done.stdout)["cells"]].count("failed") == 1
    assert "failed: fine_tune, steps=4, 16 shots, seed 1: " in done.stderr
    assert "1 of 8 cells failed; contsym sweep --resume --output" in done.stderr
    stored.unlink()
    done = contsym_here("sweep", "--resume", "--output", str(folder / "mlruns"), cwd=folder)
    assert done.returncode == 0, done.stderr
    aside.rename(stored.with_name(".aside"))
    assert len(cells(folder / "mlruns")) == 8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--strategies", "knn_fixed"), "--scenario is missing; give it here or in --config FILE"),
        (("--resume",), "--output mlruns: no sweep there yet; contsym sweep --strategies ... makes one"),
        (
            ("--strategies", "knn_fixed", "--scenario", "mnli_only", "--shots", "8"),
            "--shots: scenario mnli_only has no task with shots",
        ),
        (
            ("--strategies", "knn_fixed", "--scenario", "wikidata_only", "--shots", "8,999999"),
            "--shots 999999 needs ",
        ),
        (
            ("--strategies", "knn_fixed", "--scenario", "wikidata_only", "--shots", "8", "--jobs", "0"),
            "--jobs 0: expected at least 1",
        ),
        (
            ("--strategies", "knn_fixed", "--scenario", "wikidata_only", "--shots", "8", "--address", "x:1"),
            "--address goes with --backend ray, not local",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words, message, tmp_path):
    done = contsym_here("sweep", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


def test_a_scenario_that_no_file_can_be_is_one_line(tmp_path):
    file = 'strategies = ["knn_fixed"]\nscenario = "a\\u0000.toml"\nshots = [8]\n'
    (tmp_path / "sweep.toml").write_text(file)
    done = contsym_here("sweep", "--config", "sweep.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: 'a\\x00.toml': no file can have a name with a NUL in it; expected a path\n"
    )


def test_a_search_and_as_many_shots_are_two_rows(tmp_path):
    options = plain_result()["options"]
    search = {"tried": [{"n": 8, "accuracy": 1.0}], "found": 8, "target": 0.99, "step": 8, "most": 64}
    store_run(tmp_path, "least", [0, 1], search=search, options={**options, "shots": "least", "step": 8})
    store_run(
        tmp_path, "all", [0, 1], options={**options, "shots": None}, final={"mnli": 0.5, "wikidata": 0.5}
    )
    least, every = (read_run(tmp_path / "runs" / name) for name in ("least", "all"))
    config = least.config.model_copy(update={"shots": ["least", None]})
    sweep = replace(least, command="sweep", config=config, cells=(*least.cells, *every.cells))
    results = sweep.results()
    assert {sweep.row_of(result) for result in results} == {("knn_fixed least", 64), ("knn_fixed", 64)}
    points = {("accuracy/wikidata/knn_fixed least", 0.95, 64), ("accuracy/wikidata/knn_fixed", 0.5, 64)}
    assert points <= set(sweep_record(sweep, results, 0).metrics)
    shown = io.StringIO()
    Console(file=shown, width=80).print(sweep_report({"": results}, ()))
    rows = [line.split() for line in shown.getvalue().splitlines()]
    assert any(row[:4] == ["least", "of", "64", "0.950±0.000"] for row in rows)
    assert any(row[:2] == ["64", "0.500±0.000"] for row in rows)


@pytest.mark.slow
@pytest.mark.usefixtures("untracked", "no_workers")
def test_the_reading_nearest_to_the_paper_is_run_with_all_seeds(toy, tiny_encoder_folder, tmp_path):
    file = tmp_path / "readings.toml"
    file.write_text(
        'strategies = ["random_labels", "knn_fixed"]\nscenario = "mnli_then_wikidata"\nshots = [8]\n'
        'protocol = "sequential"\nseeds = 2\nscreen = 1\nmnli-size = 24\n'
        '[[reading]]\ndraw = ["balanced", "natural"]\none_pass = true\nuntil = 0.5\n'
    )
    words = ["sweep", "--config", file, "--no-audit", "--device", "cpu", "--precision", "fp32", "--json"]
    words += [word for task in ("mnli", "wikidata") for word in (f"--{task}", toy[task])]
    words += ["--encoder", tiny_encoder_folder, "--output", "out"]
    first, again = (read_json(contsym_here(*words, cwd=tmp_path)) for _ in range(2))
    n_cells = Counter(cell["reading"] for cell in first["cells"])
    assert sorted(n_cells.values()) == [2, 4]
    (screened,) = [name for name, n in n_cells.items() if n == 2]
    assert {cell["seed"] for cell in first["cells"] if cell["reading"] == screened} == {0}
    assert {cell["state"] for cell in first["cells"]} == {"done"}
    # Under its name, with the seeds that were added too.
    assert again["name"] == first["name"] and again["cells"] == first["cells"]
