"""`contsym runs` and `contsym show`, and the names that every command takes."""

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from contsym.cli import cli
from contsym.errors import ContsymError
from tests.stored_results import store_run, store_sweep

OLD = "knn_fixed-mnli_then_wikidata-aaaaaaaaaaaa"
NEW = "fine_tune-mnli_then_wikidata-bbbbbbbbbbbb"


@pytest.fixture
def output(tmp_path):
    store_run(tmp_path, OLD, [0, 1])
    store_run(tmp_path, NEW, [0], strategy="fine_tune")
    return tmp_path


def run(*words, output):
    return CliRunner().invoke(cli, [*map(str, words), "--output", str(output)])


def test_the_figures_of_a_run_are_means_over_its_seeds(output):
    listed = {each["name"]: each for each in json.loads(run("runs", "--json", output=output).stdout)}
    # Seeds 0 and 1 forget .20 and .19 (tests/stored_results.py); both reach 0.95.
    assert listed[OLD]["learned"] == pytest.approx([0.95, 0.95])
    assert listed[OLD]["forgotten"] == pytest.approx([0.195, 0.195])
    assert (listed[OLD]["results"], listed[OLD]["done"], listed[OLD]["failed"]) == (2, 2, 0)


def test_the_table_fits_80_columns_and_names_what_is_missing(output):
    store_sweep(output, shots=(8, 64), leave_out=1, with_view=False)
    text = run("runs", output=output).stdout
    assert max(map(len, text.splitlines())) <= 80
    assert " mnli_then_wikidata\n" in text
    assert "23/24" in text and "1 missing of 24; the same command resumes" in " ".join(text.split())


def test_runs_are_chosen_by_method_scenario_and_number(output):
    def names(*words):
        return [each["name"] for each in json.loads(run("runs", "--json", *words, output=output).stdout)]

    assert names("--strategy", "fine_tune") == [NEW]
    store_run(output, "fine_tune-mnli_only-cccccccccccc", [0], strategy="fine_tune", scenario="mnli_only")
    assert names("--strategy", "knn_fixed", "--scenario", "mnli_only") == []
    assert len(names("-n", "1")) == 1
    found = run("runs", "--strategy", "knn_fixed", "--scenario", "mnli_only", output=output)
    assert "no run or sweep of knn_fixed of mnli_only" in found.stdout
    error = run("runs", "--strategy", "knn_fixd", output=output).exception
    assert str(error) == "--strategy knn_fixd: no stored run has it; did you mean knn_fixed?"


def test_a_run_is_shown_by_name_prefix_id_and_latest(output):
    by_name = run("show", OLD, output=output)
    assert by_name.stdout.startswith("\nknn_fixed · mnli_then_wikidata") and "2 seeds" in by_name.stdout
    assert run("show", "knn", output=output).stdout == by_name.stdout
    assert run("show", "aaaa", output=output).stdout == by_name.stdout
    plain = json.loads(run("show", "aaaa", "--json", output=output).stdout)
    assert (plain["run"], [seed["seed"] for seed in plain["seeds"]]) == (OLD, [0, 1])
    assert run("show", output=output).stdout == run("show", "latest", output=output).stdout
    assert "reading" in run("show", OLD, "-v", output=output).stdout


@pytest.mark.usefixtures("no_figures")
def test_every_command_on_runs_takes_the_same_names(output):
    assert json.loads(run("metrics", "aaaa", "--json", output=output).stdout)["tasks"] == ["mnli", "wikidata"]
    assert run("report", "latest", "--json", output=output).exit_code == 0
    for words in (
        ("show", "zzz"),
        ("metrics", "zzz"),
        ("compare", "zzz", "aaaa"),
        ("reproduce", "zzz"),
        ("audit", "zzz"),
    ):
        error = run(*words, output=output).exception
        assert isinstance(error, ContsymError)
        assert str(error).startswith("'zzz' is not there; expected latest, a run or sweep of")


def test_an_empty_folder_says_what_fills_it(tmp_path):
    assert (
        run("runs", output=tmp_path).stdout
        == f"no run or sweep in {tmp_path} yet; contsym run or sweep makes one\n"
    )
    assert "there is none yet" in str(run("show", output=tmp_path).exception)


def test_an_age_is_never_below_zero():
    from contsym.commands.views.runs import age

    # The clock of another machine may be ahead.
    assert age("2026-03-01T12:00:05+00:00", datetime(2026, 3, 1, 12, tzinfo=UTC)) == "0 s"


def test_the_answer_of_a_sweep_names_the_cells_that_failed_and_counts_the_missing_ones(tmp_path):
    sweep = store_sweep(
        tmp_path, strategies=["knn_fixed", "fine_tune"], shots=(8,), leave_out=3, with_view=False
    )
    failed = tmp_path / "runs" / sweep.name / "failed"
    failed.mkdir()
    failure = {"name": "fine_tune, 8 shots, seed 0", "error": "ValueError: nan in loss (boom.py:49)"}
    (failed / f"{sweep.cells[3].key}.json").write_text(json.dumps(failure))
    lines = run("show", output=tmp_path).stdout.splitlines()
    assert lines[-4:] == [
        "! 1 of 6 cells failed; no figure here is of it",
        "! failed: fine_tune, 8 shots, seed 0: ValueError: nan in loss (boom.py:49)",
        "! 2 of 6 results are missing, so the figures are of the others alone; the same",
        "command resumes",
    ]
    assert "±: the standard deviation over seeds" in "\n".join(lines)


def test_verbose_is_of_a_run(output):
    sweep = store_sweep(output, shots=(8,), with_view=False)
    done = run("show", sweep.id, "--verbose", output=output)
    assert isinstance(done.exception, ContsymError)
    assert str(done.exception).startswith(
        f"--verbose: {sweep.id} is a sweep, whose shortcuts and costs contsym report has"
    )
    assert run("show", NEW, "--verbose", output=output).exception is None
