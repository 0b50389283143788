"""Pieces of a sweep on a Ray cluster: many machines, each GPU or core given to one piece at a time."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

import ray
from ray.exceptions import NodeDiedError, RayActorError, RayError, RayTaskError, WorkerCrashedError

from contsym.errors import ContsymError
from contsym.sweep.executors import Lost
from contsym.sweep.work import Work, perform

PIP_HINT = "start it with: ray start --head"


class RayExecutor:
    """Tasks of a Ray cluster that is running, or of one that is started here for the sweep.

    All nodes need contsym and see the output folder and the data at the same paths (a shared file system).
    Where the cluster has GPUs, each piece gets one.
    """

    def __init__(self, n_jobs: int, address: str | None) -> None:
        # Ray would pack up the working directory and make a new environment on each worker.
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        try:
            ray.init(address=address, log_to_driver=False, include_dashboard=False, configure_logging=False)
        except (ConnectionError, RayError, ValueError, RuntimeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise ContsymError(
                f"--address {address}: no Ray cluster answers there ({reason}); {PIP_HINT}"
            ) from None
        resources = ray.cluster_resources()
        n_gpus = int(resources.get("GPU", 0))
        n_cores = int(resources.get("CPU", 1))
        self.n_slots = (
            min(n_jobs, n_gpus or n_cores) if address is None else min(max(n_jobs, 1), n_gpus or n_cores)
        )
        n_threads = max(1, n_cores // self.n_slots)
        environment = {"env_vars": {"OMP_NUM_THREADS": str(n_threads), "GOMP_SPINCOUNT": "30000"}}
        # The sweep itself tries again, so that every loss is seen and counted.
        options: dict[str, Any] = {"max_retries": 0, "runtime_env": environment, "num_cpus": n_threads}
        self._perform = ray.remote(perform).options(**options, num_gpus=1 if n_gpus else 0)

    def submit(self, work: Work) -> Any:
        return self._perform.remote(work)

    def wait(self, handles: Collection[Any], seconds: float) -> list[tuple[Any, BaseException | None]]:
        done, _ = ray.wait(list(handles), timeout=seconds)
        return [(handle, _error(handle)) for handle in done]

    def close(self) -> None:
        ray.shutdown()


def _error(handle: Any) -> BaseException | None:
    try:
        ray.get(handle)
    except RayTaskError as error:
        return error.cause if isinstance(error.cause, BaseException) else error
    except (WorkerCrashedError, NodeDiedError, RayActorError) as error:
        return Lost(f"its worker is gone ({type(error).__name__})")
    except RayError as error:
        return Lost(f"Ray lost it ({type(error).__name__})")
    return None
