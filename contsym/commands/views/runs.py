"""What a person sees of the stored runs and sweeps of a folder: a row each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.text import Text

from contsym.checked import Skip
from contsym.commands.views.tables import Lines, add_numbers, plain_table, shown
from contsym.results.schema import SeedResult
from contsym.sweeps.config import shots_text
from contsym.sweeps.runs import StoredRun

NAME = 18
"""Characters of a name that stay on one line, as those of mnli_then_wikidata."""


@dataclass(frozen=True)
class RunFacts:
    """A stored run or sweep with the main figures of its results; None where there is no result or no earlier task."""

    run: StoredRun
    n_failed: int
    learned: tuple[float, float] | None
    """The least and the greatest of its rows: accuracy on the new task right after its training, mean over seeds."""
    forgotten: tuple[float, float] | None
    """The same of the mean forgetting of the earlier tasks."""

    def as_plain(self) -> dict[str, Any]:
        run = self.run
        return {
            "name": run.name,
            "id": run.id,
            "command": run.command,
            "created": run.created,
            "last_started": run.last_started,
            "strategies": run.config.strategies,
            "scenario": run.config.scenario,
            "shots": run.config.shots,
            "seeds": run.config.seeds,
            "limit": run.config.limit,
            "results": len(run.cells),
            "done": run.n_done,
            "failed": self.n_failed,
            "learned": self.learned,
            "forgotten": self.forgotten,
            "folder": str(run.folder),
        }


def facts_of(run: StoredRun, skip: Skip) -> RunFacts:
    """The figures of a run or sweep; `skip` receives the error of each result that cannot be read."""
    rows: dict[object, list[SeedResult]] = {}
    for result in run.results(skip):
        rows.setdefault(run.row_of(result), []).append(result)

    def span(figure: Callable[[SeedResult], float | None]) -> tuple[float, float] | None:
        values = [[value for r in row if (value := figure(r)) is not None] for row in rows.values()]
        means = [fmean(each) for each in values if each]
        return (min(means), max(means)) if means else None

    return RunFacts(run, len(run.failures(skip)), span(_learned), span(_forgotten))


def _learned(result: SeedResult) -> float:
    return result.own_accuracy(result.new_task)


def _forgotten(result: SeedResult) -> float | None:
    return fmean(result.forgetting.values()) if result.forgetting else None


def runs_report(found: Sequence[RunFacts], output: Path) -> Lines:
    """A row per run or sweep, and what is not done of them."""
    table = plain_table(f"Runs and sweeps of {output}, the latest first", "run", "age", "method and scenario")
    add_numbers(table, "shots", "seeds", "done", "learned", "forgot", no_wrap=False)
    table.padding = (0, 1, 0, 0)
    table.columns[2].min_width = NAME
    table.columns[1].no_wrap = True
    notes = []
    for each in found:
        run, config = each.run, each.run.config
        what = f"{', '.join(config.strategies)} on {Path(config.scenario).stem}"
        limit = "" if config.limit is None else f" (--limit {config.limit})"
        table.add_row(
            # The first letters of an id are enough to name a run, and a row has 80 columns.
            run.id[:8],
            age(run.last_started, datetime.now(UTC)),
            shown(f"{'sweep: ' * run.is_sweep}{what}{limit}"),
            ", ".join(map(shots_text, config.shots)),
            str(len(config.seeds)),
            f"{run.n_done}/{len(run.cells)}",
            _span(each.learned, "{:.3f}"),
            _span(each.forgotten, "{:+.3f}"),
        )
        missing = len(run.cells) - run.n_done - each.n_failed
        counts = [f"{n} {words}" for n, words in ((each.n_failed, "failed"), (missing, "missing")) if n]
        if counts:
            notes.append(
                shown(f"! {run.id[:8]}: {' and '.join(counts)} of {len(run.cells)}; the same command resumes")
            )
    legend = "learned: accuracy on the new task right after its training; forgot: mean over the earlier tasks"
    return Lines(table, *notes, Text(legend, style="dim"))


def _span(values: tuple[float, float] | None, form: str) -> str:
    if values is None:
        return "-"
    low, high = map(form.format, values)
    return low if low == high else f"{low} to {high}"


def age(time: str, now: datetime) -> str:
    """How long ago a time is.

    >>> now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    >>> [age(f"2026-{then}:00+00:00", now) for then in ("03-01T11:59", "03-01T11:00", "03-01T09:30", "02-20T12:00")]
    ['1 min', '60 min', '2 h', '9 d']
    """
    seconds = max(0, int((now - datetime.fromisoformat(time)).total_seconds()))
    for unit, length, most in (("s", 1, 60), ("min", 60, 90), ("h", 3600, 48)):
        if seconds < length * most:
            return f"{seconds // length} {unit}"
    return f"{seconds // 86400} d"
