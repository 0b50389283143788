"""How long a sweep still takes, from the cells that are done."""

from __future__ import annotations

from collections.abc import Mapping


class TimeLeft:
    """An estimate that knows of cells that run side by side. Times are seconds of any one clock.

    Two cells of 100 steps run at a time, two wait, and a finished one took 50 s:

    >>> left = TimeLeft({"a": 100, "b": 100, "c": 100, "d": 100}, planned_seconds=300, now=0)
    >>> left.started("a", 0), left.started("b", 0)
    (None, None)
    >>> left.seconds(10)  # nothing is known but the plan
    290
    >>> left.ended("a", 50)
    >>> left.started("c", 50)
    >>> left.seconds(50)  # b is due now, c and d have 50 s each, on two workers
    50.0
    >>> left.seconds(75)
    37.5
    """

    def __init__(self, steps: Mapping[str, int], planned_seconds: float, now: float) -> None:
        """`steps`: training steps by job; `planned_seconds`: how long all take by the plan, 0 if unknown."""
        self._steps = dict(steps)
        self._planned_seconds, self._began = planned_seconds, now
        self._running: dict[str, float] = {}
        self._most_at_once = 1
        self._done_steps, self._done_seconds = 0, 0.0

    def started(self, job: str, now: float) -> None:
        self._running[job] = now
        self._most_at_once = max(self._most_at_once, len(self._running))

    def ended(self, job: str, now: float) -> None:
        started = self._running.pop(job, now)
        self._done_steps += self._steps.pop(job, 0)
        self._done_seconds += now - started

    def dropped(self, job: str) -> None:
        """A job that failed: its time says nothing about the others, and no work of it is left."""
        self._running.pop(job, None)
        self._steps.pop(job, None)

    def seconds(self, now: float) -> float | None:
        """The estimate; None if nothing is known."""
        if not self._done_steps:
            left = self._planned_seconds - (now - self._began)
            return left if left > 0 else None
        per_step = self._done_seconds / self._done_steps
        work = 0.0
        for job, steps in self._steps.items():
            so_far = now - self._running[job] if job in self._running else 0.0
            work += max(steps * per_step - so_far, 0.0)
        return work / self._most_at_once
