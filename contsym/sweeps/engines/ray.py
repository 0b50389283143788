"""Runs jobs on a Ray cluster: many machines, each GPU or core for one job at a time."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray import exceptions

from contsym.errors import ContsymError, SettingError, first_line
from contsym.models.encoders.device import choose_device
from contsym.sweeps.engines.base import Lost, parse_options, worker_environment
from contsym.sweeps.engines.remote import not_arrived, run_job_there
from contsym.sweeps.job import Job

ADDRESS_VARIABLE = "RAY_ADDRESS"
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
"""Ray's client tries for over ten minutes before it gives up."""
LOOK_SECONDS = 2.0
"""The least time between two looks at the nodes, which may join and leave."""

OPTIONS = {"num_cpus": int, "num_gpus": float, "memory_gb": float}
"""Resources of a job, for --engine-option."""

GONE = (
    exceptions.WorkerCrashedError,
    exceptions.NodeDiedError,
    exceptions.LocalRayletDiedError,
    exceptions.OutOfMemoryError,
    exceptions.ObjectLostError,
    exceptions.TaskCancelledError,
)


@dataclass(frozen=True)
class Need:
    """The resources of a job, in Ray's units."""

    n_cores: int
    n_gpus: float = 0.0
    memory_gb: float = 0.0

    def times_in(self, node: Mapping[str, float]) -> int:
        """How many such jobs fit on a node with these resources.

        >>> Need(2, 0.5).times_in({"CPU": 8, "GPU": 1}), Need(4).times_in({"CPU": 6})
        (2, 1)
        """
        needed = {"CPU": self.n_cores, "GPU": self.n_gpus, "memory": self.memory_gb * 1e9}
        # Ray counts in ten-thousandths: 0.1 of a GPU goes ten times into one.
        return min(int(round(node.get(name, 0) / n, 6)) for name, n in needed.items() if n)


def share_nodes(
    nodes: Sequence[Mapping[str, float]], n_jobs: int | None, least: Need, n_cores: int | None = None
) -> tuple[int, Need]:
    """How many jobs run at a time, and the resources of each, so that jobs x threads <= cores on every node.

    Each job gets `n_cores`, or else the most cores with which `n_jobs` of them fit. Without `n_jobs`, there is one job
    per GPU, or per node if jobs use no GPU.

    >>> share_nodes([{"CPU": 8}, {"CPU": 4}], 3, Need(1))
    (3, Need(n_cores=4, n_gpus=0.0, memory_gb=0.0))
    """

    def room(need: Need) -> int:
        return sum(max(0, need.times_in(node)) for node in nodes)

    least = replace(least, n_cores=n_cores or 1)
    if n_jobs is None:
        n_jobs = room(least) if least.n_gpus else sum(least.times_in(node) > 0 for node in nodes)
    n_slots = min(n_jobs, room(least))
    if n_cores is not None:
        return n_slots, least
    most = int(max((node.get("CPU", 0) for node in nodes), default=0))
    fitting = [n for n in range(1, most + 1) if room(replace(least, n_cores=n)) >= n_slots]
    return n_slots, replace(least, n_cores=max(fitting, default=1))


class RayExecutor:
    """Runs jobs as tasks of a running Ray cluster, or of one that is started here for the sweep.

    The cluster at `address` is joined, or else that at RAY_ADDRESS; without both a new one is started, even if another
    user's is running. All nodes need contsym, and the output folder and the data at the same paths (a shared file
    system). Jobs that are planned for a GPU get one each.
    """

    def __init__(self, n_jobs: int | None, address: str | None, options: Mapping[str, str]) -> None:
        values = parse_options("ray", options, OPTIONS)
        self._n_cores = values.get("num_cpus")
        self._gpus_each = values.get("num_gpus", 1.0)
        self._memory_gb = values.get("memory_gb", 0.0)
        self._n_jobs = n_jobs
        self._folder = os.getcwd()
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Ray would pack up the working directory and make a new environment on each worker.
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        option = "--address" if address else ADDRESS_VARIABLE
        address = address or os.environ.get(ADDRESS_VARIABLE)
        if address:
            check_answers(option, address)
        try:
            # Without "local" Ray would join any cluster that was started on this machine.
            ray.init(
                address or "local", include_dashboard=False, log_to_driver=False, configure_logging=False
            )
        except (ConnectionError, exceptions.RayError, ValueError, RuntimeError, TimeoutError) as error:
            reason = first_line(error, 200)
            if address:
                raise ContsymError(
                    f"{option} {address}: a Ray cluster answers, but it cannot be joined from here ({reason}); "
                    "start the sweep on one of its nodes"
                ) from None
            raise ContsymError(f"--backend ray: no cluster can be started here ({reason})") from None
        self._jobs: dict[Any, tuple[Job, Need]] = {}
        self._nodes: list[dict[str, float]] = []
        self._looked_at = float("-inf")
        self._uses_gpu = False
        if not any(node.get("CPU", 0) >= 1 for node in self._alive()):
            ray.shutdown()
            raise ContsymError(f"{option} {address}: no node of the Ray cluster has a CPU to give")

    @property
    def n_slots(self) -> int:
        # Never 0: a cluster that has lost all its nodes may get new ones.
        return max(1, self._share()[0])

    def _share(self) -> tuple[int, Need]:
        least = Need(1, self._gpus_each if self._uses_gpu else 0.0, self._memory_gb)
        return share_nodes(self._alive(), self._n_jobs, least, self._n_cores)

    def _alive(self) -> list[dict[str, float]]:
        if time.monotonic() - self._looked_at > LOOK_SECONDS:
            self._nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            self._looked_at = time.monotonic()
        return self._nodes

    def submit(self, job: Job) -> Any:
        self._uses_gpu = needs_gpu(job, sum(node.get("GPU", 0) for node in self._alive()))
        n_slots, need = self._share()
        if not n_slots:
            raise ContsymError(
                f"no node of the Ray cluster has room for a job (--engine-option): it needs {need.n_cores} CPU, "
                f"{need.n_gpus:g} GPU and {need.memory_gb:g} GB of memory"
            )
        task = ray.remote(run_job_there).options(
            name=job.name,
            num_cpus=need.n_cores,
            # Ray's default ends a process that has used a GPU, since it could not change to another.
            num_gpus=need.n_gpus,
            memory=int(need.memory_gb * 1e9) or None,
            # The sweep itself tries again, so that it counts every loss.
            max_retries=0,
            runtime_env={"env_vars": worker_environment(need.n_cores)},
        )
        handle = task.remote(job, self._folder)
        self._jobs[handle] = job, need
        return handle

    def wait(self, handles: Collection[Any], seconds: float) -> list[tuple[Any, BaseException | None]]:
        done, waiting = ray.wait(list(handles), timeout=seconds)
        ended = [(handle, _error(handle, self._jobs.pop(handle)[0])) for handle in done]
        nodes = self._alive()
        for handle in waiting:
            # Ray would wait for a large enough node without end.
            if not any(self._jobs[handle][1].times_in(node) for node in nodes):
                ray.cancel(handle, force=True)
                del self._jobs[handle]
                ended.append((handle, Lost("no node is left that is large enough for it")))
        return ended

    def close(self) -> None:
        for handle in self._jobs:
            ray.cancel(handle, force=True)
        self._jobs = {}
        ray.shutdown()


def check_answers(option: str, address: str) -> None:
    """Raise ContsymError unless a Ray cluster of this version answers at HOST:PORT within about a minute."""
    match = re.fullmatch(r"\[?([^/\s\]]+)\]?:(\d{1,5})", address)
    if not match or not 0 < int(match[2]) < 65536:
        raise SettingError(f"{option} {address}: expected HOST:PORT of the cluster's head, as ray-head:6379")
    hint = "expected the HOST:PORT that `ray start --head` printed"
    try:
        socket.create_connection((match[1], int(match[2])), CONNECT_SECONDS).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ContsymError(f"{option} {address}: nobody answers there ({reason}); {hint}") from None
    # In another process, since Ray's client has no time limit.
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS)  # noqa: S603 - a list of words, no shell
    except subprocess.TimeoutExpired:
        raise ContsymError(
            f"{option} {address}: the program there is not a Ray cluster, or hangs "
            f"(nothing within {ANSWER_SECONDS:.0f} s); {hint}"
        ) from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["health-check failed"]
        versions = [
            line.strip() for line in lines if "Version mismatch" in line or re.match(r"\s+Ray: ", line)
        ]
        reason = " ".join(versions) or lines[-1].strip()
        raise ContsymError(f"{option} {address}: the Ray cluster there cannot be used ({reason[:300]})")


def needs_gpu(job: Job, n_gpus: float) -> bool:
    """Whether a job was planned for a GPU, by the rule of the plan.

    Raises ContsymError if the cluster does not suit the plan: the key of a result depends on the device, so a worker
    with another device would refuse the job.
    """
    device = choose_device(job.config.device)
    if device.startswith("cuda") and not n_gpus:
        raise ContsymError(
            f"--device {job.config.device}: planned for a GPU, but the Ray cluster has none; give --device cpu"
        )
    if job.config.device == "auto" and device == "cpu" and n_gpus:
        raise ContsymError(
            f"--device auto: this machine has no GPU, the Ray cluster has {n_gpus:g}; start the sweep on a node "
            "with a GPU, or give --device cpu"
        )
    return device.startswith("cuda")


def _error(handle: Any, job: Job) -> BaseException | None:
    try:
        message = ray.get(handle)
    except GONE as error:
        return Lost(f"its worker is gone ({type(error).__name__})")
    except exceptions.RayError as error:
        # The cause is one line among a traceback and advice.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        causes = [line for line in lines if re.match(r"[\w.]*(Error|Exception): ", line)]
        reason = (causes or lines or [type(error).__name__])[-1][:300]
        return ContsymError(f"a Ray worker could not start it: {reason}")
    return ContsymError(message) if message else not_arrived(job)
