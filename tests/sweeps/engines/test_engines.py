"""Engines by name: missing engines and contradictory options, in one line."""

import os
import pickle
import signal
import sys

import pytest

from contsym.errors import SettingError, line_in
from contsym.sweeps.engines.base import Lost, one_line, parse_options, threads_each
from contsym.sweeps.engines.choose import make_executor, read_options, several_gpus
from contsym.sweeps.engines.local import LocalExecutor
from tests.errors import message_of


def test_the_error_of_a_cell_has_the_line_of_the_plug_in(tmp_path):
    file = tmp_path / "boom.py"
    file.write_text("def loss():\n    raise ValueError('nan in\\nloss')\n")
    names: dict = {}
    exec(compile(file.read_text(), str(file), "exec"), names)
    with pytest.raises(ValueError, match="nan") as raised:
        names["loss"]()
    raised.value.add_note(line_in(raised.value, file))
    # As it comes from another process.
    error = pickle.loads(pickle.dumps(raised.value))
    assert one_line(error) == "ValueError: nan in loss (boom.py:2)"
    assert line_in(raised.value, tmp_path / "other.py") == line_in(raised.value, None) == ""


@pytest.mark.parametrize(("backend", "library"), [("ray", "ray"), ("slurm", "submitit")])
def test_an_engine_that_is_not_installed(monkeypatch, backend, library):
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"contsym.sweeps.engines.{backend}", raising=False)
    assert message_of(make_executor, backend, 1) == (
        f"--backend {backend}: {library} is not installed; pip install 'contsym[{backend}]'"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("local", 0), "--jobs 0: expected at least 1"),
        (("slurm", 1, "head:6379"), "--address goes with --backend ray, not slurm"),
        (("local", 1, None, {"time": "5"}), "--engine-option time: --backend local has none; leave it out"),
    ],
)
def test_contradictory_options(arguments, message):
    with pytest.raises(SettingError) as error:
        make_executor(*arguments)
    assert str(error.value) == message


def test_one_local_process_by_default():
    executor = make_executor("local", None)
    assert executor.n_slots == 1
    executor.close()


@pytest.mark.parametrize(
    ("asked", "n_jobs", "expected"),
    [
        (None, 1, 6), (None, 2, 3), (None, 4, 1), (None, 9, 1),
        ("2", 1, 2), ("2", 2, 2), ("2", 4, 1), ("64", 2, 3), (" 4,2", 1, 4), ("0", 2, 3), ("many", 2, 3),
    ],
)  # fmt: skip
def test_the_cores_are_shared_and_fewer_threads_may_be_asked_for(monkeypatch, asked, n_jobs, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert threads_each(n_jobs) == expected


KNOWN = {"time": int, "num_gpus": float, "partition": str}


def test_processes_share_the_gpus(monkeypatch):
    executor = LocalExecutor(3, gpus=["0", "2"])
    pools = [executor._new_pool() for _ in range(3)]
    assert [executor._gpu_of[pool] for pool in pools] == ["0", "2", "0"]
    # A process that died gives its place to the one that takes over.
    executor._gpu_of.pop(pools[1])
    assert executor._gpu_of[executor._new_pool()] == "2"


@pytest.mark.parametrize(
    ("device", "n_gpus", "visible", "expected"),
    [
        ("auto", 2, None, ["0", "1"]),
        ("cuda", 2, "3,5", ["3", "5"]),
        ("cuda", 1, None, []),
        ("auto", 0, None, []),
        ("cuda:1", 4, None, []),
        ("cpu", 4, None, []),
    ],
)
def test_gpus_are_shared_where_there_are_several_and_none_is_named(
    monkeypatch, device, n_gpus, visible, expected
):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: n_gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert several_gpus(device) == expected


def test_a_process_sees_its_gpu_alone(monkeypatch, tmp_path):
    monkeypatch.setattr("contsym.sweeps.engines.local.run_job", _write_visible)
    executor = LocalExecutor(1, gpus=["7"])
    future = executor.submit(tmp_path / "seen")
    assert executor.wait([future], 120) == [(future, None)]
    executor.close()
    assert (tmp_path / "seen").read_text() == "7"


def _write_visible(path):
    path.write_text(os.environ["CUDA_VISIBLE_DEVICES"])


def test_a_job_whose_process_dies_is_lost_and_the_next_job_gets_a_new_one(monkeypatch, tmp_path):
    monkeypatch.setattr("contsym.sweeps.engines.local.run_job", _die_or_write)
    executor = LocalExecutor(1)
    future = executor.submit(tmp_path / "dies")
    ((lost, error),) = executor.wait([future], 120)
    assert lost is future and isinstance(error, Lost)
    assert str(error) == "its process died (out of memory, or killed)"
    future = executor.submit(tmp_path / "lives")
    assert executor.wait([future], 120) == [(future, None)]
    executor.close()
    assert [path.name for path in tmp_path.iterdir()] == ["lives"]


def _die_or_write(path):
    if path.name == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    path.touch()


def test_an_error_that_no_other_process_can_rebuild_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr("contsym.sweeps.engines.local.run_job", _raise_of_its_own)
    executor = LocalExecutor(1)
    future = executor.submit(tmp_path)
    ((_, error),) = executor.wait([future], 120)
    executor.close()
    assert one_line(error) == "Diverged: loss 7 after step 3 (mine.py:8)"


def _raise_of_its_own(path):
    class Diverged(Exception):
        """As a plug-in may have it: unknown elsewhere, and with two arguments."""

        def __init__(self, loss, step):
            super().__init__(f"loss {loss} after step {step}")

    error = Diverged(7, 3)
    error.add_note("mine.py:8")
    raise error


def test_options_are_read_by_kind():
    given = {"time": "90", "num-gpus": "0.5", "partition": "7"}
    assert parse_options("slurm", given, KNOWN) == {"time": 90, "num_gpus": 0.5, "partition": "7"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("partitoin", "gpu", "--engine-option partitoin: slurm has no such option; did you mean partition?"),
        ("time", "2:00:00", "--engine-option time=2:00:00: expected a whole number above 0"),
        ("time", "0", "--engine-option time=0: expected a whole number above 0"),
        ("num_gpus", "-1", "--engine-option num_gpus=-1: expected a number above 0"),
        ("num_gpus", "nan", "--engine-option num_gpus=nan: expected a number above 0"),
    ],
)
def test_options_that_are_wrong(name, text, message):
    with pytest.raises(SettingError) as error:
        parse_options("slurm", {name: text}, KNOWN)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["partition"], "--engine-option 'partition': expected name=value, as partition=gpu"),
        (["=gpu"], "--engine-option '=gpu': expected name=value, as partition=gpu"),
        (["time= "], "--engine-option 'time= ': expected name=value, as partition=gpu"),
        (["time=5", "time=6"], "--engine-option time is given twice; give it once"),
    ],
)
def test_options_that_are_no_pairs(pairs, message):
    with pytest.raises(SettingError) as error:
        read_options(pairs)
    assert str(error.value) == message
