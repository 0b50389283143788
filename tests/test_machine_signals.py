"""Signals, trouble with files and servers that are slow: one line, and an exit code that says which."""

import errno
import itertools
import shutil
import signal
import sys

import click
import pytest

from contsym import cli
from contsym.errors import ContsymError
from contsym.files import bound, write_file, write_whole
from contsym.machine import Ended, _end, end_cleanly_on_signals, exit_code, raise_if_asked_to_stop
from contsym.models.encoders import vector_cache
from contsym.results import store
from contsym.training.progress import Silent, Steps
from tests.stored_results import make_result


def end_of_main(monkeypatch, capsys, raised, words=("run",)):
    """(exit code, stderr) of the command line where a command raises that."""

    def command(**_):
        raise raised

    monkeypatch.setattr(cli, "cli", command)
    monkeypatch.setattr("sys.argv", ["contsym", *words])
    # The handlers are of this process, and its own.
    monkeypatch.setattr(cli, "end_cleanly_on_signals", lambda: None)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code, capsys.readouterr().err


def aborted(cause):
    """What click makes of an interrupt."""
    error = click.Abort()
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (KeyboardInterrupt(), 130),
        (aborted(KeyboardInterrupt()), 130),
        (aborted(Ended(signal.SIGTERM)), 143),
        (Ended(signal.SIGHUP), 129),
    ],
)
def test_a_signal_decides_the_exit_code(raised, code, monkeypatch, capsys):
    assert end_of_main(monkeypatch, capsys, raised) == (
        code,
        "stopped; finished results are stored; the same command resumes from there\n",
    )
    assert end_of_main(monkeypatch, capsys, raised, ("report",)) == (
        code,
        "stopped; finished results are stored\n",
    )


def test_a_full_disk_is_one_line(monkeypatch, capsys):
    full = OSError(errno.ENOSPC, "No space left on device", "mlruns/results/x")
    assert end_of_main(monkeypatch, capsys, full) == (
        2,
        "error: mlruns/results/x: No space left on device; free some space; finished results are stored; "
        "the same command resumes from there\n",
    )


def test_an_error_of_another_kind_is_not_hidden(monkeypatch, capsys):
    monkeypatch.setattr(
        cli, "cli", lambda **_: (_ for _ in ()).throw(OSError(errno.ENOEXEC, "Exec format error"))
    )
    monkeypatch.setattr(cli, "end_cleanly_on_signals", lambda: None)
    with pytest.raises(OSError, match="Exec format error"):
        cli.main()


@pytest.fixture
def signals(monkeypatch):
    """The program's handlers, for one test."""
    monkeypatch.setattr("sys.unraisablehook", sys.__unraisablehook__)
    end_cleanly_on_signals()


def test_the_second_signal_ends_at_once(signals):
    with pytest.raises(Ended):
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_nohup_is_respected(signals):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    end_cleanly_on_signals()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) == _end


def test_a_new_beginning_forgets_what_ended_the_last(signals):
    with pytest.raises(Ended):
        signal.raise_signal(signal.SIGTERM)
    end_cleanly_on_signals()
    raise_if_asked_to_stop()


@pytest.mark.parametrize(
    "said",
    [
        "Error while serializing: I/O error: No space left on device (os error 28)",
        'I/O error: Os { code: 28, kind: StorageFull, message: "No space left on device" }',
    ],
)
def test_a_seed_that_cannot_be_stored_is_one_line_and_leaves_nothing(said, tmp_path, monkeypatch):
    import safetensors.torch
    from safetensors import SafetensorError

    def full(tensors, path):
        # As safetensors says it.
        raise SafetensorError(said)

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    import torch

    with pytest.raises(ContsymError) as caught:
        store.write_result(tmp_path, make_result(), [{"task": "mnli"}], {"x": torch.zeros(1)})
    assert str(caught.value) == (
        f"{tmp_path / 'results' / make_result().key}: cannot be written (No space left on device); mend that, "
        "then the same command resumes"
    )
    assert list((tmp_path / "results").iterdir()) == []


def test_what_a_killed_process_left_of_the_same_folder_goes_after_an_hour(tmp_path):
    import os

    old, fresh, other = (tmp_path / f".partial-{name}" for name in ("built-00", "built-01", "else-00"))
    for folder in (old, fresh, other):
        folder.mkdir()
    for folder in (old, other):
        os.utime(folder, (0, 0))
    write_whole(tmp_path / "built", lambda folder: None)
    assert {path.name for path in tmp_path.iterdir()} == {"built", ".partial-built-01", ".partial-else-00"}


def write_a_folder(at):
    write_whole(at / "new", lambda folder: (folder / "a").write_text("a"))


def write_a_file(at):
    write_file(at / "a", "text")


def drop_an_entry(at):
    entry = at / "entry"
    entry.mkdir(exist_ok=True)
    (entry / vector_cache.FILE).write_text("vectors")
    bound(at, 0, vector_cache.FILE)


# A file that was open when the signal came is closed without `with`, which Python says.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("work", [write_a_folder, write_a_file, drop_an_entry])
def test_a_signal_leaves_nothing_half_written_wherever_it_comes(work, tmp_path):
    """Python raises what a signal raises between any two of its instructions: here between each two, once."""

    def trace(frame, event, _):
        if frame.f_code.co_filename == shutil.__file__:
            return None  # one instruction of Python 3.11's rmtree makes an OSError of it
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode" and next(count) == nth:
            raise Ended(signal.SIGTERM)
        return trace

    def disturbed(at):
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            work(at)
        finally:
            sys.settrace(before)

    nth = sys.maxsize
    for _ in range(2):  # the second time nothing is imported or compiled any more
        count = itertools.count()
        disturbed(tmp_path)
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
    # The number of instructions differs a little from run to run: on until the work ends before its turn comes.
    for nth in itertools.count():
        at, count = tmp_path / str(nth), itertools.count()
        at.mkdir()
        try:
            disturbed(at)
        except Ended:
            assert [path.name for path in at.iterdir() if path.name.startswith(".partial-")] == [], (
                f"at {nth}"
            )
        else:
            break
    assert next(count) <= nth, f"the signal at {nth} was lost"
    assert nth > 1000


class Swallows:
    """Python ignores what is raised while an object is taken down."""

    def __del__(self):
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_that_is_lost_on_its_way_is_heeded_at_the_next_step(signals, capsys):
    raise_if_asked_to_stop()
    Swallows()
    assert not capsys.readouterr().err
    with pytest.raises(Ended) as caught:
        raise_if_asked_to_stop()
    assert exit_code(caught.value) == 143


def test_what_a_library_makes_of_a_signal_is_no_error_of_the_user(signals, monkeypatch, capsys):
    def command(**_):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ContsymError("the key is not a key") from None

    monkeypatch.setattr(cli, "cli", command)
    monkeypatch.setattr("sys.argv", ["contsym", "run"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 130
    assert capsys.readouterr().err.startswith("stopped; ")


def test_a_signal_that_a_library_lost_ends_the_program_with_its_number(signals, monkeypatch, capsys):
    monkeypatch.setattr(cli, "cli", lambda **_: Swallows() and None)
    monkeypatch.setattr("sys.argv", ["contsym", "run"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 143
    assert capsys.readouterr().err.startswith("stopped; ")


def test_a_signal_that_a_library_lost_ends_a_run_at_its_next_step(signals):
    passed = []

    class Noted(Silent):
        def advance(self, loss=None):
            passed.append(loss)

    steps = Steps(Noted())
    steps.advance(0.5)
    Swallows()
    for step in (lambda: steps.advance(0.4), lambda: steps.phase("testing", None)):
        with pytest.raises(Ended):
            step()
    assert passed == [0.5]
