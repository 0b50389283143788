"""`contsym report`: what it prints, and mistakes in one line."""

import pytest

from contsym.cli import main
from tests.stored_results import plain_result, store_run, store_sweep


def typed(monkeypatch, capsys, *arguments):
    """Exit code, stdout and stderr."""
    monkeypatch.setattr("sys.argv", ["contsym", "report", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    shown = capsys.readouterr()
    return stopped.value.code or 0, shown.out, shown.err


def test_paths_of_the_report_and_its_tables_are_printed(tmp_path, monkeypatch, capsys):
    sweep = store_sweep(tmp_path, strategies=["knn_fixed"], shots=[8], seeds=[0, 1], with_view=False)
    code, out, err = typed(monkeypatch, capsys, "--output", tmp_path)
    folder = tmp_path / "reports" / sweep.name
    assert code == 0
    n_drawn = len(list((folder / "figures").glob("*.svg")))
    assert n_drawn > 3
    assert err.splitlines()[:2] == [
        "making tables and figures of 2 results",
        f"drawing {n_drawn} figures as files",
    ]
    n_tables = len(list((folder / "tables").glob("*.csv")))
    n_figures = len({path.stem.partition("-")[0] for path in (folder / "figures").glob("*.svg") if path.stem})
    assert out.splitlines() == [
        str(folder / "report.html"),
        f"{folder / 'tables'} ({n_tables} tables as Markdown, CSV and LaTeX)",
        f"{folder / 'figures'} ({n_figures} figures as SVG, PDF and PNG)",
    ]
    assert (folder / "report.html").is_file() and (folder / "tables" / "paper.tex").is_file()


@pytest.mark.usefixtures("no_figures")
def test_runs_go_where_they_are_told_to(tmp_path, monkeypatch, capsys):
    store_run(tmp_path, "a", [0, 1])
    code, _, _ = typed(monkeypatch, capsys, "a", "--output", tmp_path, "--to", tmp_path / "there")
    assert code == 0 and (tmp_path / "there" / "report.html").is_file()


@pytest.mark.usefixtures("no_figures")
def test_a_target_moves_the_line_and_the_examples_needed(tmp_path, monkeypatch, capsys):
    store_sweep(tmp_path, strategies=["knn_fixed"], with_view=False)
    code, _, _ = typed(monkeypatch, capsys, "--output", tmp_path, "--to", tmp_path / "r", "--target", "0.8")
    assert code == 0
    # 34, 35 and 33 of 40 at 16 shots.
    rows = (tmp_path / "r" / "tables" / "efficiency.csv").read_text().splitlines()
    assert rows[1].startswith('knn_fixed,16,16,16,"16, 16, 16"')


def test_a_target_that_no_training_was_measured_for_is_refused(tmp_path, monkeypatch, capsys):
    store_run(tmp_path, "a", [0], options={**plain_result()["options"], "one_pass": True, "until": 0.99})
    code, out, err = typed(monkeypatch, capsys, "a", "--output", tmp_path, "--target", "0.8")
    assert (code, out) == (2, "")
    assert err.endswith(
        "error: --target 0.8: with --until the pairs needed were counted for 0.9 and 0.99 alone; leave --target out, or "
        "train again with --until\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--output {0}: no sweep there yet; contsym sweep --strategies ... makes one"),
        (["--target", "1.5"], "--target 1.5 is out of range; expected 0 < target <= 1"),
        (
            ["x"],
            "'x' is not there; expected latest, a run or sweep of {0}, or the folder of one; there is none yet; "
            "contsym run or sweep makes one",
        ),
    ],
)
def test_a_mistake_is_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    code, out, err = typed(monkeypatch, capsys, *arguments, "--output", tmp_path)
    assert (code, out, err) == (2, "", f"error: {message.format(tmp_path)}\n")


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, monkeypatch, capsys):
    store_sweep(tmp_path, strategies=["knn_fixed"], shots=[8], with_view=False)
    (tmp_path / "file").write_text("")
    code, _, err = typed(monkeypatch, capsys, "-q", "--output", tmp_path, "--to", tmp_path / "file")
    assert code == 2
    assert err == (
        f"error: --to {tmp_path}/file cannot be written (File exists); expected a folder that you may write to\n"
    )


def test_damaged_vectors_are_named(tmp_path, monkeypatch, capsys):
    sweep = store_sweep(tmp_path, strategies=["knn_fixed"], shots=[8], seeds=[0])
    path = tmp_path / "results" / sweep.cells[0].key / "label_vectors.safetensors"
    path.write_bytes(b"nonsense")
    code, _, err = typed(monkeypatch, capsys, "-q", "--output", tmp_path)
    assert code == 2
    assert err.startswith(f"error: {path}: cannot be read (") and err.count("\n") == 1
