"""How many cores there are, and how threads wait for each other; needs no library, so that anything may ask."""

import os

SPIN_COUNT = "1000"
"""Turns that an OpenMP thread waits awake before it sleeps (benchmarks/waiting.py).

Threads that spin for long make a training step several times slower beside other processes; threads that
sleep at once make it slower on idle cores.
"""


def n_cores() -> int:
    """Those that this process may use: where it was given some of the machine's, only these."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def waiting() -> dict[str, str]:
    """Environment variables that let threads sleep soon, or those by which the user has said how they wait.

    OpenMP reads them once, when torch is first imported.
    """
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    return {name: os.environ[name] for name in names if name in os.environ} or {"GOMP_SPINCOUNT": SPIN_COUNT}
