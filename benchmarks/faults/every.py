"""All faults, in the order of the table."""

from __future__ import annotations

from benchmarks.faults import kill
from benchmarks.faults.bench import Fault

FAULTS: tuple[Fault, ...] = (*kill.FAULTS,)
