"""Command lines of every kind: a line on stderr and exit code 2, or what was asked for."""

import io
import os
import sys
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from contsym.cli import main
from tests.fuzz.arguments import COMMANDS, lines
from tests.fuzz.trial import SECONDS, at_most

N = int(os.environ.get("CONTSYM_FUZZ_INPUTS", "500"))


def test_every_command_is_tried():
    names = {" ".join(path) for path in COMMANDS}
    assert {"run", "sweep", "data build", "data show", "compare", "report", "ui", "new strategy"} <= names


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_arguments_end_in_a_line_or_an_answer(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def serve(*_):
        raise AssertionError("a server was started on a store that is not there")

    monkeypatch.setattr(os, "execve", serve)
    # What a test process does at a signal is pytest's.
    monkeypatch.setattr("contsym.cli.end_cleanly_on_signals", lambda: None)
    codes: Counter[object] = Counter()

    @seed(20260102)
    @settings(
        max_examples=N,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(lines)
    def run(line: list[str]) -> None:
        monkeypatch.setattr(sys, "argv", ["contsym", *line])
        out, err = io.StringIO(), io.StringIO()
        with (
            at_most(4 * SECONDS),
            redirect_stdout(out),
            redirect_stderr(err),
            pytest.raises(SystemExit) as done,
        ):
            main()
        code = done.value.code or 0
        codes[code] += 1
        assert code in (0, 1, 2), line
        mistakes = [text for text in err.getvalue().splitlines() if text.startswith("error: ")]
        if code == 2:
            assert len(mistakes) == 1 and mistakes[0].isprintable(), line
        else:
            assert not mistakes, line

    run()
    with capsys.disabled():
        print(f" {N:,} command lines: {dict(codes)}", end=" ")
    assert codes[0] > N / 100
    assert sum(codes.values()) == N
