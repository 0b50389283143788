"""All faults, in the order of the table."""

from __future__ import annotations

from benchmarks.faults import ask_to_end, disk, kill, step, store, tracking_server, worker
from benchmarks.faults.bench import Fault

FAULTS: tuple[Fault, ...] = (
    *kill.FAULTS,
    *ask_to_end.FAULTS,
    *disk.FAULTS,
    *store.FAULTS,
    *tracking_server.FAULTS,
    *step.FAULTS,
    *worker.FAULTS,
)
