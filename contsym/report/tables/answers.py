"""Calibration, macro-F1 and label bias."""

from __future__ import annotations

from collections.abc import Sequence

from contsym.report.collect import title_of
from contsym.report.measures import Measures
from contsym.report.placement import Placement
from contsym.report.table_formats import SUMMARY_PARTS, Column, Table, make_table, text_column
from contsym.report.tables.layout import SHOTS, STRATEGY, TASK, groups, interval_note, shots_cell
from contsym.results.metrics.stats import summarise_values
from contsym.results.schema import Answers
from contsym.results.summary import TIMES

MOST_LABELS = 8
"""With more, the share of each is not shown."""

TIME_TITLES = {"own": "after its training", "final": "at the end"}


def answer_table(measures: Measures) -> Table:
    """Two rows per task and group, and one per task with the true shares of the labels."""
    collected = measures.collected
    labels = collected.first.labels if len(collected.first.labels) <= MOST_LABELS else []
    columns = (
        TASK,
        STRATEGY,
        SHOTS,
        text_column("when"),
        Column("calibration error", "calibration_error", SUMMARY_PARTS),
        Column("macro-F1", "macro_f1", SUMMARY_PARTS),
        *(Column(label, form="{:.3f}") for label in labels),
        text_column("marks"),
    )
    rows: list[Sequence[object]] = []
    for task in collected.tasks:
        true = collected.first.answers[task].true
        rows.append((title_of(task), "the truth", *(None,) * 4, *(true[label] for label in labels), ""))
        for variant, shots in groups(collected):
            for time in TIMES if task in collected.earlier_tasks else TIMES[-1:]:
                each: list[Answers] = [
                    getattr(result.answers[task], time) for result in collected.group(variant, shots)
                ]
                rows.append(
                    (
                        title_of(task),
                        variant,
                        shots_cell(collected, shots, variant),
                        TIME_TITLES[time],
                        summarise_values([a.calibration_error for a in each]),
                        summarise_values([a.macro_f1 for a in each]),
                        *(sum(a.predicted[label] for a in each) / len(each) for label in labels),
                        measures.marks(variant, shots, task),
                    )
                )
    notes = (
        "Calibration error: the mean distance between how sure the answers are and how many are correct (ECE, 15 bins). "
        "Scores and negative distances become probabilities by softmax, votes as shares; distances have no unit of "
        "sureness, so compare a method with itself. Macro-F1: over the labels that the task has.",
        f"Labels: the share of the test {collected.units()} that were given each, mean over the seeds. A share that moves "
        f"away from the truth at the end is a bias that came with later tasks. {interval_note(collected)}.",
    )
    return make_table("answers", "Calibration and label bias", columns, rows, *notes)


PLACEMENTS = (Placement("accuracy", answer_table),)
