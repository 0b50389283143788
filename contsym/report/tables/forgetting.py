"""Forgetting, retention, and accuracy against forgetting."""

from __future__ import annotations

from operator import attrgetter

from contsym.report.collect import title_of
from contsym.report.measures import Forgetting, Measures, pareto_front
from contsym.report.placement import Placement
from contsym.report.table_formats import (
    SUMMARY_PARTS,
    Cell,
    Column,
    Table,
    interval_cell,
    make_table,
    text_column,
)
from contsym.report.tables.layout import SHOTS, STRATEGY, by_shots, interval_note, shots_cell

MARKS_NOTE = (
    "Not learned: right after its own training the accuracy on the task was not above the majority class by more "
    "than the 95% Wilson interval; not above the best shortcut: the same of that."
)


def forgetting_cell(
    forgetting: Forgetting | None, *, scale: float = 1, digits: int = 3, sign: bool = True
) -> Cell | None:
    if forgetting is None:
        return None
    return interval_cell(forgetting.summary, sign=sign, scale=scale, digits=digits, note=forgetting.marks)


def trade_off_table(measures: Measures) -> Table:
    columns = (
        text_column("forgotten task", "task"),
        STRATEGY,
        SHOTS,
        Column(f"accuracy, {title_of(measures.collected.new_task)}", "accuracy", SUMMARY_PARTS),
        Column("forgetting", parts=SUMMARY_PARTS),
        Column("seconds", form="{:,.1f}"),
        text_column("Pareto front", "on_front"),
    )
    rows = []
    for task, points in measures.trade_offs.items():
        front = pareto_front([(p.accuracy.mean, p.forgetting.summary.mean) for p in points])
        for i, p in enumerate(points):
            forgetting, on_front = forgetting_cell(p.forgetting), "yes" if i in front else "no"
            rows.append(
                (
                    title_of(task),
                    p.variant,
                    shots_cell(measures.collected, p.shots, p.variant),
                    p.accuracy,
                    forgetting,
                    p.seconds,
                    on_front,
                )
            )
    note = (
        "On the front: no other group has as much accuracy and as little forgetting. "
        f"{MARKS_NOTE} {interval_note(measures.collected)}."
    )
    return make_table("trade-off", "Accuracy against forgetting", columns, rows, note)


def forgetting_table(measures: Measures, task: str) -> Table:
    collected = measures.collected
    note = (
        "The best accuracy after any experience before the last, minus the one at the end; negative where "
        f"later training helped. {MARKS_NOTE} {interval_note(collected)}."
    )
    return by_shots(
        collected,
        f"forgetting-{task}",
        f"Forgetting of {title_of(task)}",
        lambda variant, shots: forgetting_cell(measures.forgetting(variant, shots, task)),
        note,
    )


def retention_table(measures: Measures, task: str) -> Table:
    collected = measures.collected
    return by_shots(
        collected,
        f"retention-{task}",
        f"Retention of {title_of(task)}",
        lambda variant, shots: forgetting_cell(measures.retention(variant, shots, task), sign=False),
        "Accuracy at the end over accuracy right after its own training; empty where that is 0. "
        f"{MARKS_NOTE} {interval_note(collected)}.",
    )


PLACEMENTS = (
    Placement("trade-off", trade_off_table),
    Placement("trade-off", forgetting_table, each=attrgetter("earlier_tasks")),
    Placement("statistics", retention_table, each=attrgetter("earlier_tasks")),
)
