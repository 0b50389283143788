"""What was forgotten and what was kept, and accuracy against it."""

from __future__ import annotations

from contsym.report.collect import title_of
from contsym.report.measures import Forgetting, Measures, pareto_front
from contsym.report.table_formats import SUMMARY_PARTS, Cell, Column, Table, interval, nothing, number, words
from contsym.report.tables.layout import NOT_STORED, by_shots, interval_note


def forgetting_cell(
    column: Column, found: Forgetting | None, *, scale: float = 1, digits: int = 3, sign: bool = True
) -> Cell:
    if found is None:
        return nothing(column, NOT_STORED)
    if found.summary is None:
        return nothing(column, found.words)
    return interval(found.summary, sign=sign, scale=scale, digits=digits)


def forgetting_table(measures: Measures, task: str) -> Table:
    collected = measures.collected
    note = (
        "The best accuracy after any experience before the last, minus the one at the end; negative where "
        'later training helped. "Never learned": its accuracy right after its own training was not above the '
        f"best shortcut by more than the Wilson interval, so there is nothing to forget. {interval_note(collected)}."
    )
    return by_shots(
        collected,
        f"forgetting-{task}",
        f"Forgetting of {title_of(task)}",
        lambda column, variant, shots: forgetting_cell(column, measures.forgetting(variant, shots, task)),
        [note],
    )


def retention_table(measures: Measures, task: str) -> Table:
    collected = measures.collected
    return by_shots(
        collected,
        f"retention-{task}",
        f"Share of {title_of(task)} kept",
        lambda column, variant, shots: forgetting_cell(
            column, measures.retention(variant, shots, task), sign=False
        ),
        [f"Accuracy at the end over accuracy right after its own training. {interval_note(collected)}."],
    )


def trade_off_table(measures: Measures) -> Table:
    columns = (
        Column("forgotten task", "task", is_text=True),
        Column("strategy", "strategy", is_text=True),
        Column("shots", "shots"),
        Column(f"accuracy, {title_of(measures.collected.new_task)}", "accuracy", SUMMARY_PARTS),
        Column("forgetting", "forgetting", SUMMARY_PARTS),
        Column("seconds", "seconds"),
        Column("Pareto front", "on_front", is_text=True),
    )
    rows = []
    for task, points in measures.trade_offs.items():
        front = pareto_front([(p.accuracy.mean, p.forgetting.mean) for p in points])
        for i, p in enumerate(points):
            rows.append(
                (
                    words(title_of(task)),
                    words(p.variant),
                    number(p.shots),
                    interval(p.accuracy),
                    interval(p.forgetting, sign=True),
                    number(p.seconds, "{:,.1f}"),
                    words("yes" if i in front else "no"),
                )
            )
    note = "Groups that learned the task in every seed. On the front: no other has as much accuracy and as little forgetting."
    return Table("trade-off", "Accuracy against forgetting", columns, tuple(rows), (note,))
