"""Runs and sweeps as Python objects: tables, figures and models of what is stored."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.api.frames import (
    figures_frame,
    matrix_frame,
    per_seed_frame,
    predictions_frame,
    samples_needed,
)
from contsym.config import several
from contsym.files import home_path
from contsym.results import store
from contsym.results.reading import reading
from contsym.results.schema import SeedResult
from contsym.results.summary import by_order
from contsym.sweeps.find import no_result_yet
from contsym.sweeps.runs import StoredRun

if TYPE_CHECKING:
    from pandas import DataFrame
    from plotly.graph_objects import Figure

    from contsym.results.training_audit import Audited
    from contsym.training.trained import TrainedModel


class Experiment:
    """The stored results of a run or a sweep. Everything shown is computed from them."""

    def __init__(self, stored: StoredRun) -> None:
        self.stored = stored

    @property
    def name(self) -> str:
        """The name that `contsym report` and `contsym.load` take."""
        return self.stored.name

    @property
    def folder(self) -> Path:
        """The folder of its record; results are in `OUTPUT/results/KEY`."""
        return self.stored.folder

    @cached_property
    def by_folder(self) -> Mapping[Path, SeedResult]:
        """Every result that can be read, by its folder."""
        return store.read_readable(self.stored.done().values())

    @property
    def results(self) -> list[SeedResult]:
        """Every stored result with all that was measured, in the order of strategies, shots and seeds."""
        return list(self.by_folder.values())

    def to_frame(self) -> DataFrame:
        """The main figures, one row per result and task: accuracy, forgetting, samples needed and the like."""
        return figures_frame(self.results, self.stored.row_of)

    @property
    def matrix(self) -> DataFrame:
        """The accuracy matrix, mean over the seeds: a row per finished experience (`start` before the first), a column
        per task. A sweep has one per strategy and number of shots."""
        return matrix_frame(self.results, self.stored.row_of)

    @property
    def forgetting(self) -> DataFrame:
        """The best accuracy on a task before the last row of the matrix minus the last, by seed; not of the last task."""
        return per_seed_frame(self.results, self.stored.row_of, lambda r: r.forgetting)

    @property
    def samples_needed(self) -> DataFrame:
        """The fewest distinct training pairs that reached the target, by seed; missing where it was not reached."""
        frame = per_seed_frame(
            self.results, self.stored.row_of, lambda r: {task: samples_needed(r, task) for task in r.tasks}
        )
        return frame.astype("Int64")

    def predictions(self, task: str) -> DataFrame:
        """The label and every prediction of each test pair of a task, a row per seed and pair."""
        return predictions_frame(self.by_folder, task, self.stored.row_of)

    def audit(self, rules: str | Path | Sequence[str | Path] = ()) -> dict[str, Audited]:
        """Whether each method learned the rule of its new task or a label bias, by method and shots (docs/audit.md).

        `rules` are files of labelled pairs beside the bundled ones. Raises ContsymError where the runs were made without
        `save_models=True`.
        """
        from contsym import plugins
        from contsym.api.auditing import audit_results
        from contsym.data.rules import load_rules
        from contsym.training.progress import Silent

        return audit_results(
            self.by_folder,
            self.stored.output,
            self.stored.row_of,
            rules=load_rules([home_path(file) for file in several(rules)]),
            plugins=plugins.read(self.stored.config.plugins),
            progress=Silent(),
        )

    def figures(self) -> dict[str, Figure]:
        """The plots of the report by their titles, as Plotly figures."""
        from contsym.report.collect import of_run
        from contsym.report.figures import all_figures
        from contsym.report.measures import Measures

        measures = Measures(collected := of_run(self.stored), collected.target)
        return {
            f"{figure.title}: {label}" if len(figure.views) > 1 else figure.title: plot
            for _, figure in all_figures(measures)
            for label, plot in figure.by_view().items()
        }

    def _repr_html_(self) -> str:
        rows: dict[tuple[str, int], list[SeedResult]] = {}
        for result in self.results:
            rows.setdefault(self.stored.row_of(result), []).append(result)
        readings = "; ".join(dict.fromkeys(map(reading, rows.values())))
        heading = f"{html.escape(self.name)}<br>{html.escape(readings)}"
        tables = [
            table.astype(object).where(table.notna(), "-")
            for table in (self.matrix, self.forgetting, self.samples_needed)
        ]
        titles = ["Accuracy, mean over seeds", "Forgetting by seed", "Samples needed by seed"]
        parts = [
            f"<p>{title}</p>{table.to_html(float_format='{:.3f}'.format)}"
            for title, table in zip(titles, tables, strict=True)
        ]
        return f"<p><b>{heading}</b></p>{''.join(parts)}"


class Run(Experiment):
    """One strategy on one scenario, over seeds."""

    def __repr__(self) -> str:
        first, seeds = self.results[0], [r.seed for r in self.results]
        return f"<contsym.Run {first.strategy} on {self.stored.config.scenario}, seeds {seeds}, {self.name}>"

    def model(self, seed: int = 0) -> TrainedModel:
        """The trained model of a seed. Raises ContsymError where the run was made without `save_models=True`."""
        from contsym.api.models import load_model

        plugins = self.stored.config.plugins
        return load_model(self.folder, seed=seed, output=self.stored.output, plugins=plugins)

    @property
    def orders(self) -> list[str]:
        """The orders of its scenario; one empty name where there is one order."""
        return list(by_order(self.results))


class Sweep(Experiment):
    """Strategies x shots x settings x seeds on one scenario."""

    def __repr__(self) -> str:
        n_done, n = self.stored.n_done, len(self.stored.cells)
        return f"<contsym.Sweep of {n} cells, {n_done} of them done, {self.name}>"


def experiment_of(stored: StoredRun) -> Run | Sweep:
    """The object for a stored record. Raises ContsymError if none of its results is stored."""
    if not stored.n_done:
        raise no_result_yet(stored.name, stored)
    return Sweep(stored) if stored.is_sweep else Run(stored)
