"""Accuracy: at the end, by kind, by relation, as matrices; and the accuracy of shortcuts."""

from __future__ import annotations

from contsym.report.collect import title_of
from contsym.report.measures import Measures
from contsym.report.placement import Placement
from contsym.report.table_formats import (
    SUMMARY_PARTS,
    Cell,
    Column,
    Table,
    interval_cell,
    number_cell,
    text_cell,
    text_column,
)
from contsym.report.tables.layout import (
    KIND_NAMES,
    NOT_STORED,
    SHOTS,
    STRATEGY,
    TASK,
    by_shots,
    groups,
    interval_note,
    kind_tasks,
    relation_title,
    relations,
    row_names,
    shots_columns,
    tasks_new_first,
)


def accuracy_table(measures: Measures, task: str) -> Table:
    collected = measures.collected

    def cell(variant: str, shots: int) -> Cell:
        summary = measures.accuracy(variant, shots, task)
        if summary is None:
            return Cell(NOT_STORED)
        family = measures.family(task, shots)
        return interval_cell(summary, strong=bool(family and family.best == variant))

    notes = [
        f"{collected.first.n_test[task]:,} test pairs. {interval_note(collected)}. Bold: better than every other "
        "strategy by every test, Holm-corrected."
    ]
    if shortcut := shortcut_by_shots(measures, task):
        notes.append(f"The best shortcut has an accuracy of {shortcut}.")
    return by_shots(collected, f"accuracy-{task}", f"Accuracy on {title_of(task)}, at the end", cell, *notes)


def shortcut_by_shots(measures: Measures, task: str) -> str:
    """Accuracy and name of the best shortcut; per number of shots where they differ."""
    best = {n: measures.best_shortcut(task, n) for n in measures.collected.shots}
    texts = {n: f"{pair[1]:.3f} ({pair[0].replace('_', ' ')})" for n, pair in best.items() if pair}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return ", ".join(f"{text} at {n:,} shots" for n, text in texts.items())


def shortcut_table(measures: Measures) -> Table:
    """The accuracy of each shortcut, mean over the seeds."""
    collected = measures.collected
    rows = []
    for task in collected.tasks:
        by_shots = {n: means for n in collected.shots if (means := measures.shortcuts(task, n))}
        for name in next(iter(by_shots.values()), ()):
            accuracies = (by_shots[n].get(name) if n in by_shots else None for n in collected.shots)
            rows.append(
                (
                    text_cell(title_of(task)),
                    text_cell(name.replace("_", " ")),
                    *(number_cell(value, "{:.3f}", NOT_STORED) for value in accuracies),
                )
            )
    columns = (TASK, text_column("shortcut"), *shots_columns(collected, ("",)))
    note = "Trained on the same pairs as the strategies; a strategy that is not above them may only guess."
    return Table("shortcuts", "Accuracy of shortcuts", columns, tuple(rows), (note,))


def kind_table(measures: Measures, task: str) -> Table:
    collected = measures.collected
    columns = (
        STRATEGY,
        SHOTS,
        *(Column(name, name, SUMMARY_PARTS) for name in KIND_NAMES),
        Column("symmetric minus antisymmetric", "difference"),
    )
    rows = []
    for variant, shots in groups(collected):
        if kinds := measures.by_kind(variant, shots, task):
            parts = [kinds.get(name) for name in KIND_NAMES]
            first, second = parts
            gap = first.accuracy.mean - second.accuracy.mean if first and second else None
            rows.append(
                (
                    text_cell(variant),
                    number_cell(shots),
                    *(interval_cell(part.accuracy) if part else Cell(NOT_STORED) for part in parts),
                    number_cell(gap, "{:+.3f}", NOT_STORED),
                )
            )
    note = f"Accuracy at the end on the test pairs of each kind. {interval_note(collected)}."
    title = f"Symmetric against antisymmetric, {title_of(task)}"
    return Table(f"kinds-{task}", title, columns, tuple(rows), (note,))


def relation_table(measures: Measures, task: str) -> Table:
    collected = measures.collected
    columns = (text_column("relation"), Column("test pairs", "n"), STRATEGY, *shots_columns(collected))
    by_relation = {
        group: measures.by_relation(*group, task)
        for group in ((v, n) for v in collected.variants for n in collected.shots)
    }
    rows = []
    for name, n_pairs in relations(collected, task).items():
        for variant in collected.variants:
            parts = (by_relation[variant, shots].get(name) for shots in collected.shots)
            cells = (interval_cell(part.accuracy) if part else Cell(NOT_STORED) for part in parts)
            rows.append((text_cell(relation_title(name)), number_cell(n_pairs), text_cell(variant), *cells))
    note = f"Accuracy at the end; the commonest relation first. {interval_note(collected)}."
    title = f"Accuracy by relation, {title_of(task)}"
    return Table(f"relations-{task}", title, columns, tuple(rows), (note,))


def matrix_table(measures: Measures) -> Table:
    import numpy as np

    collected = measures.collected
    columns = (
        STRATEGY,
        SHOTS,
        text_column("row"),
        *(Column(title_of(task), task) for task in collected.tasks),
    )
    rows = []
    for variant, shots in groups(collected):
        matrix = np.mean(collected.values(variant, shots, lambda result: result.matrix), axis=0)
        for name, row in zip(row_names(collected), matrix.tolist(), strict=True):
            accuracies = (number_cell(accuracy, "{:.3f}") for accuracy in row)
            rows.append((text_cell(variant), number_cell(shots), text_cell(name), *accuracies))
    note = "Accuracy on each task's test pairs before training and after each experience, mean over seeds."
    return Table("matrices", "Accuracy matrices", columns, tuple(rows), (note,))


PLACEMENTS = (
    Placement("accuracy", accuracy_table, each=tasks_new_first),
    Placement("accuracy", shortcut_table),
    Placement("matrices", matrix_table),
    Placement("relations", relation_table, each=kind_tasks),
    Placement("kinds", kind_table, each=kind_tasks),
)
