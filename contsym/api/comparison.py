"""Runs beside each other, pair by pair, on the same seeds and test pairs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.api.results import Run
from contsym.checked import Skip, tell_skipped
from contsym.config import DEFAULT_OUTPUT
from contsym.errors import ContsymError, SettingError, nearest
from contsym.files import home_path
from contsym.results.compare import StoredRow, TaskComparison, compare_runs, name_runs
from contsym.sweeps.find import find_row, rows_named

if TYPE_CHECKING:
    from pandas import DataFrame

    from contsym.results.metrics.stats import Comparison as PairOfRuns


class Difference:
    """Runs on one task after the last experience."""

    def __init__(self, compared: TaskComparison) -> None:
        self.compared = compared

    @property
    def pair(self) -> PairOfRuns:
        """The comparison of two runs. Raises ContsymError for more of them, which `to_frame` shows."""
        if len(self.compared.comparisons) > 1:
            n = len(self.compared.accuracies)
            raise ContsymError(f"{n} runs were compared, not two; use to_frame(), which has every pair")
        return self.compared.comparisons[0]

    @property
    def difference(self) -> float:
        """Mean accuracy of the first run minus that of the second."""
        return self.pair.difference

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95% interval, by the paired bootstrap over seeds and test pairs."""
        return self.pair.low, self.pair.high

    @property
    def p(self) -> float:
        """The largest p of bootstrap, McNemar's test and the t test over seeds, corrected by Holm's method."""
        return self.pair.p

    @property
    def better(self) -> str | None:
        """The run that is better than all others; None where the tests do not say so."""
        return self.compared.best

    def to_frame(self) -> DataFrame:
        """A row per pair of runs: difference, interval, and every p."""
        import pandas as pd

        return pd.DataFrame([asdict(each) for each in self.compared.comparisons])

    def __repr__(self) -> str:
        lines = [f"{self.compared.task}: " + self._verdict()]
        lines += [
            f"  {c.a} - {c.b}: {c.difference:+.3f} [{c.low:+.3f}, {c.high:+.3f}], p = {c.p:.3g}"
            for c in self.compared.comparisons
        ]
        return "\n".join(lines)

    def _verdict(self) -> str:
        n = self.compared.n_seeds
        seeds = f"{n} seed{'s' * (n > 1)}, {self.compared.n_items:,} test pairs"
        if self.better:
            return f"{self.better} is better ({seeds})"
        return f"no run is better than all others, as far as {seeds} can say"


class Comparison(Mapping[str, Difference]):
    """A Difference for each task that all runs have."""

    def __init__(self, rows: Mapping[str, StoredRow], tasks: Sequence[TaskComparison]) -> None:
        self.rows, self.tasks = rows, tasks

    def __getitem__(self, task: str) -> Difference:
        for each in self.tasks:
            if each.task == task:
                return Difference(each)
        raise KeyError(f"{task!r}: {nearest(task, [each.task for each in self.tasks])}")

    def __iter__(self) -> Iterator[str]:
        return (each.task for each in self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    def to_frame(self) -> DataFrame:
        """A row per task and pair of runs."""
        import pandas as pd

        frames = {task: difference.to_frame() for task, difference in self.items()}
        return pd.concat(frames, names=["task", None]).reset_index(level=0).reset_index(drop=True)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.values()))

    def _repr_html_(self) -> str:
        return self.to_frame().to_html(float_format="{:.3g}".format, index=False)


def compare(
    *runs: Run | str | Path,
    task: str | None = None,
    output: str | Path = DEFAULT_OUTPUT,
    skip: Skip = tell_skipped,
) -> Comparison:
    """Compare runs in pairs on the same seeds and test pairs; a run is only named better where three tests agree.

    A run is what `contsym.run` gave, or a text as `contsym compare` takes it: a name in `output`, a folder, or
    STRATEGY@SHOTS of the latest sweep there. Raises ContsymError unless seeds and test pairs are the same.

    >>> compare("knn_fixed@64")
    Traceback (most recent call last):
    ...
    contsym.errors.SettingError: compare: only knn_fixed@64 was given; expected two runs or more
    """
    folder = home_path(output)
    if len(runs) < 2:
        given = ", ".join(each.name if isinstance(each, Run) else str(each) for each in runs) or "nothing"
        own = rows_named(runs[0], folder, skip) if runs and isinstance(runs[0], str) else []
        hint = f", as {' '.join(own[:2])}" if len(own) > 1 else ""
        raise SettingError(f"compare: only {given} was given; expected two runs or more{hint}")
    rows = [_row(run, folder, skip) for run in runs]
    named = name_runs(rows)
    return Comparison(named, compare_runs(named, task))


def _row(run: Run | str | Path, output: Path, skip: Skip) -> StoredRow:
    if isinstance(run, str | Path):
        return find_row(os.path.expanduser(run), output, skip)
    if isinstance(run, Run):
        # Not by its name: the same run may be stored in two outputs.
        return StoredRow.of(str(run.folder), run.by_folder)
    raise SettingError(
        f"compare: {type(run).__name__} is not a run; expected what contsym.run gave, or a name"
    )
