"""Sweeps on SLURM: jobs as processes of this machine, and sbatch as a stand-in that starts them here."""

from __future__ import annotations

import os
import signal
import stat
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("submitit", reason="the extra `slurm` is not installed; sweeps on SLURM are not tested")

from contsym.config import RunConfig
from contsym.errors import ContsymError, SettingError
from contsym.results.store import result_folder
from contsym.sweeps.config import SweepConfig
from contsym.sweeps.engines import slurm
from contsym.sweeps.engines.base import Lost
from contsym.sweeps.engines.choose import make_executor
from contsym.sweeps.engines.slurm import LOGS, SlurmExecutor
from contsym.sweeps.job import Job, is_done, run_job
from contsym.sweeps.plan import plan_sweep
from tests.errors import message_of
from tests.toy import nli_rows, relation_rows, write_task

SECONDS = 120


def work(output: Path, key: str = "key") -> Job:
    return Job(key, RunConfig("knn_fixed", "wikidata_only", shots=8, encoder="./none", output=output))


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    # How long submitit waits for the result of a job that has ended; 15 s would be for network disks.
    monkeypatch.setattr("submitit.core.core.Job._results_timeout_s", 1)


def run(executor: SlurmExecutor, job: Job) -> BaseException | None:
    handle = executor.submit(job)
    return end_of(executor, handle)


def end_of(executor: SlurmExecutor, handle: str) -> BaseException | None:
    until = time.monotonic() + SECONDS
    while not (found := executor.wait([handle], 0.5)):
        assert time.monotonic() < until
    assert [each for each, _ in found] == [handle]
    return found[0][1]


@pytest.fixture
def local(tmp_path):
    executor = SlurmExecutor(2, Path("out"), {}, cluster="local")
    yield executor
    executor.close()


def test_a_failing_job_comes_back_as_a_line(local, tmp_path):
    error = run(local, work(Path("out")))
    assert isinstance(error, ContsymError)
    assert str(error).startswith("encoder './none' is no preset and no folder")
    assert "Traceback" not in str(error)
    assert list((tmp_path / "out" / LOGS).glob("*_log.err"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_a_job_that_is_done_has_no_error(local, tmp_path):
    folder = result_folder(tmp_path / "out", "key")
    folder.mkdir(parents=True)
    (folder / "result.json").write_text("{}")
    assert run(local, work(Path("out"))) is None


@pytest.mark.slow
def test_a_cell_is_done_in_a_job(local, tmp_path, tiny_encoder_folder):
    write_task(tmp_path / "wikidata", relation_rows(), 64)
    write_task(tmp_path / "nli", nli_rows(), 30)
    sources = {"mnli": "nli", "wikidata": "wikidata"}
    config = SweepConfig(
        ("knn_fixed",),
        "mnli_then_wikidata",
        (8,),
        (0,),
        {"steps": ("20",)},
        encoder=str(tiny_encoder_folder),
        protocol="sequential",
        sources=sources,
        device="cpu",
        audit=False,
        output=Path("out"),
    )
    (cell,) = plan_sweep(config)[0].cells
    # Here, since each job imports torch first; an engine does not tell a first task from a cell.
    run_job(cell.first_task)
    assert is_done(cell.first_task)
    assert run(local, cell.job) is None
    assert is_done(cell.job)


def test_a_killed_job_is_lost_and_not_failed(local):
    handle = local.submit(work(Path("out")))
    os.kill(int(handle), signal.SIGKILL)  # a local job's number is that of its process
    error = end_of(local, handle)
    assert isinstance(error, Lost)
    assert str(error) == f"job {handle} ended without a result (INTERRUPTED)"


def test_a_machine_without_slurm(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        ContsymError, match=r"^--backend slurm: this machine has no sbatch; start the sweep on"
    ):
        make_executor("slurm", 1)


def test_an_option_that_sbatch_does_not_have():
    with pytest.raises(SettingError, match=r"partitoin: slurm has no such option; did you mean partition\?"):
        make_executor("slurm", 1, options={"partitoin": "gpu"})


SBATCH = """#!/bin/sh
# Starts the script here, in its own session, whose number is the job's.
env | grep -E '^(SLURM|SBATCH)_' > "$SPOOL/environment"
grep -q 'partition=full' "$1" && { echo "sbatch: error: invalid partition specified: full" >&2; exit 1; }
cp "$1" "$SPOOL/script.sh"
SLURM_CPUS_PER_TASK=3 setsid sh -c 'export SLURM_JOB_ID=$$ SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0
export SLURM_PROCID=0 SLURM_LOCALID=0; echo $$ > "$SPOOL/id.tmp"; mv "$SPOOL/id.tmp" "$SPOOL/id"; exec sh "$0"' "$1" \
    > "$SPOOL/out" 2>&1 &
while [ ! -f "$SPOOL/id" ]; do sleep 0.05; done
echo "Submitted batch job $(cat "$SPOOL/id")"
rm "$SPOOL/id"
"""
SRUN = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do
    case $1 in --output|--error) shift;; esac
    shift
done
exec "$@"
"""
SACCT = """#!/bin/sh
echo 'JobID|State|NodeList'
for id in "$@"; do
    case $id in [0-9]*) ;; *) continue;; esac
    if kill -0 -"$id" 2>/dev/null; then echo "$id|RUNNING|here"; else echo "$id|NODE_FAIL|here"; fi
done
"""
SCANCEL = """#!/bin/sh
echo "$1" >> "$SPOOL/cancelled"
kill -9 -"$1"
"""


@pytest.fixture
def spool(tmp_path, monkeypatch) -> Path:
    """SLURM's commands as shell scripts that start and end jobs on this machine."""
    commands, spool = tmp_path / "bin", tmp_path / "spool"
    commands.mkdir()
    spool.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", SACCT), ("scancel", SCANCEL)):
        (commands / name).write_text(text)
        (commands / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SPOOL", str(spool))
    return spool


def test_the_options_of_sbatch(spool):
    options = {"partition": "gpu", "gpus-per-node": "1", "time": "90", "cpus_per_task": "3"}
    executor = make_executor("slurm", 2, None, options, Path("out"))
    assert executor.n_slots == 2
    error = run(executor, work(Path("out")))
    executor.close()
    assert str(error).startswith("encoder './none' is no preset and no folder")
    script = (spool / "script.sh").read_text().splitlines()
    assert {
        "#SBATCH --partition=gpu",
        "#SBATCH --gpus-per-node=1",
        "#SBATCH --time=90",
        "#SBATCH --cpus-per-task=3",
        "#SBATCH --job-name=contsym-knn_fixed-8-0",
    } <= set(script)
    assert any(sys.executable in line and line.startswith("srun ") for line in script)


def test_four_hours_by_default(spool):
    executor = make_executor("slurm", 1, None, {}, Path("out"))
    executor.submit(work(Path("out")))
    executor.close()
    assert "#SBATCH --time=240" in (spool / "script.sh").read_text().splitlines()


def test_a_job_that_slurm_refuses(spool):
    executor = make_executor("slurm", 1, None, {"partition": "full"}, Path("out"))
    assert message_of(executor.submit, work(Path("out"))) == (
        "--backend slurm: a job cannot be submitted (sbatch: error: invalid partition specified: full)"
    )


def test_a_job_of_a_node_that_failed_is_lost(spool):
    executor = make_executor("slurm", 1, None, {}, Path("out"))
    handle = executor.submit(work(Path("out")))
    os.killpg(int(handle), signal.SIGKILL)
    error = end_of(executor, handle)
    assert isinstance(error, Lost)
    assert str(error) == f"job {handle} ended without a result (NODE_FAIL)"


def test_closing_cancels_what_is_under_way(spool):
    executor = make_executor("slurm", 1, None, {}, Path("out"))
    handle = executor.submit(work(Path("out")))
    executor.close()
    assert (spool / "cancelled").read_text().split() == [handle]


def test_a_job_has_the_threads_that_slurm_gave_it(monkeypatch):
    seen = []
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    monkeypatch.setattr(slurm, "run_job_there", lambda *_: seen.append(os.environ["OMP_NUM_THREADS"]))
    slurm.run_slurm_job(work(Path("out")), ".")
    assert seen == ["3"]


def environment_of_sbatch(spool) -> set[str]:
    """The SLURM_ and SBATCH_ variables of the stand-in for sbatch."""
    with pytest.raises(ContsymError, match="full"):
        SlurmExecutor(1, Path("out"), {"partition": "full"}).submit(work(Path("out")))
    return set((spool / "environment").read_text().splitlines())


def test_a_job_does_not_hand_its_own_resources_on(spool, monkeypatch):
    of_job = {
        "JOB_ID": "1",
        "MEM_PER_CPU": "4000",
        "CPUS_PER_TASK": "2",
        "NTASKS": "3",
        "TRES_PER_TASK": "cpu=2",
    }
    for name, value in of_job.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SBATCH_MEM_BIND", "local")
    # What the user set for every job stays.
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    monkeypatch.setenv("SBATCH_ACCOUNT", "mine")
    assert environment_of_sbatch(spool) == {
        "SLURM_CONF=/etc/slurm.conf",
        "SBATCH_ACCOUNT=mine",
    }
    assert os.environ["SLURM_MEM_PER_CPU"] == "4000"


def test_outside_of_a_job_all_settings_go_to_sbatch(spool, monkeypatch):
    for name in [n for n in os.environ if n.startswith(("SLURM_", "SBATCH_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLURM_HINT", "nomultithread")
    monkeypatch.setenv("SBATCH_PARTITION", "long")
    assert environment_of_sbatch(spool) == {
        "SLURM_HINT=nomultithread",
        "SBATCH_PARTITION=long",
    }
