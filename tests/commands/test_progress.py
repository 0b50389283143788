"""What a log shows of a long command while it works."""

import io
import re
import time

import pytest
from rich.console import Console

from contsym.commands.views import progress as display_progress
from contsym.commands.views.progress import LINE_SECONDS, RunProgress, SweepProgress, status
from contsym.config import RunConfig
from contsym.sweeps.config import SweepConfig
from contsym.sweeps.job import Job
from contsym.sweeps.plan import Cell, Sweep


@pytest.fixture
def log(monkeypatch):
    """A console that is no terminal, with a line due every tenth of a second."""
    monkeypatch.setattr(display_progress, "LINE_SECONDS", 0.1)
    return Console(file=io.StringIO(), width=40)


def lines(console: Console) -> list[str]:
    return console.file.getvalue().splitlines()


def test_ten_seconds_lie_between_two_lines_of_a_log():
    assert LINE_SECONDS == 10


def test_a_log_hears_of_steps_loss_and_time_left(log):
    with RunProgress(log) as progress:
        progress.phase("training on mnli", 4)
        for loss in (0.5, 0.25):
            progress.advance(loss)
            time.sleep(0.15)
    assert len(lines(log)) >= 2
    # Longer than the console is wide, and in one line all the same.
    assert re.fullmatch(
        r"training on mnli: [12] of 4 steps, loss 0\.(5000|2500), about \d+ s left", lines(log)[-1]
    )


def test_a_log_hears_of_a_phase_without_steps(log):
    with RunProgress(log) as progress:
        progress.phase("evaluating after [mnli]", None)
        time.sleep(0.25)
    assert lines(log)[0] == "evaluating after [mnli] (0 s)"


def test_a_log_has_no_more_lines_than_were_due(log):
    with RunProgress(log) as progress:
        progress.phase("training on mnli", 1000)
        for _ in range(1000):
            progress.advance(0.5)
    assert len(lines(log)) <= 1


def test_a_terminal_has_bars_in_place_of_lines(monkeypatch):
    monkeypatch.setattr(display_progress, "LINE_SECONDS", 0.1)
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with RunProgress(console) as progress:
        progress.phase("training on mnli", 2)
        progress.advance(0.5)
        time.sleep(0.25)
    assert "steps" not in console.file.getvalue()
    assert "1/2" in console.file.getvalue()


def test_a_sweep_whose_cells_are_done_has_no_time_left(log, tmp_path):
    job = Job("a-key", RunConfig("knn_fixed", "wikidata_only", output=tmp_path))
    config = SweepConfig(("knn_fixed",), "wikidata_only", (8,), output=tmp_path)
    progress = SweepProgress(log, None, Sweep(config, (Cell(job, None, 4, 0),), "now", "sweep"), 0.0)
    progress.started(job)
    progress.tick()
    assert progress.line().startswith("0 of 1 cells done; running ")
    progress.ended(job, None)
    progress.tick()
    assert progress.line() == "1 of 1 cells done"


def test_a_log_hears_of_what_comes_before_the_first_step(log):
    with status(log, "loading data") as say:
        time.sleep(0.15)
        say("checking [the] split")
    assert lines(log) == ["loading data (0 s)", "checking [the] split"]
