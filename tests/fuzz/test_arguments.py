"""Command lines of every kind: a line on stderr and exit code 2, or what was asked for."""

import os

import click
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, seed, settings

from contsym import plugins
from contsym.cli import cli
from contsym.errors import ContsymError
from tests.fuzz.arguments import COMMANDS, lines
from tests.fuzz.trial import SECONDS, at_most

N = int(os.environ.get("CONTSYM_FUZZ_INPUTS", "2000"))


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
    runner = CliRunner()
    codes: dict[object, int] = {}

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
        plugins.forget()
        with at_most(4 * SECONDS):
            done = runner.invoke(cli, line, standalone_mode=False)
        error = done.exception
        assert error is None or isinstance(error, ContsymError | click.ClickException | click.Abort | SystemExit), (
            line, repr(error)
        )  # fmt: skip
        if isinstance(error, ContsymError):
            assert str(error) and "\n" not in str(error), line
        kind = type(error).__name__ if error else "answer"
        codes[kind] = codes.get(kind, 0) + 1

    run()
    with capsys.disabled():
        print(f" {N:,} command lines: {codes}", end=" ")
    assert codes["answer"] > N / 100
    assert sum(codes.values()) == N
