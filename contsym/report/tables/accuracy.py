"""Accuracy: at the end, by kind, by relation, as matrices; and the accuracy of shortcuts."""

from __future__ import annotations

from statistics import fmean

from contsym.report.collect import title_of
from contsym.report.measures import Measures
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
from contsym.report.tables import layout
from contsym.report.tables.layout import SHOTS, STRATEGY, TASK
from contsym.results.metrics.stats import summarise_values

STREAM = 3
"""With fewer tasks than this, the figures of each task say all."""


def accuracy_table(measures: Measures, task: str) -> Table:
    collected = measures.collected

    def cell(variant: str, shots: int) -> Cell | None:
        summary, family = measures.accuracy(variant, shots, task), measures.family(task, shots)
        is_best = bool(family and family.best == variant)
        return interval_cell(summary, strong=is_best) if summary else None

    notes = [
        f"{collected.first.n_test[task]:,} test {collected.units(task)}. {layout.interval_note(collected)}. "
        "Bold: better than every other strategy by every test, Holm-corrected."
    ]
    if shortcut := shortcut_by_shots(measures, task):
        notes.append(f"The best shortcut has an accuracy of {shortcut}.")
    title = f"Accuracy on {title_of(task)}, at the end"
    return layout.by_shots(collected, f"accuracy-{task}", title, cell, *notes)


def mean_table(measures: Measures) -> Table:
    """Means over the tasks of a stream; no rows where there are fewer than three."""
    collected, trained = measures.collected, measures.collected.first.trained_tasks
    rows = []
    for variant, shots in layout.groups(collected) if len(trained) >= STREAM else ():
        figures = (
            collected.values(variant, shots, lambda r: fmean(r.final[task] for task in trained)),
            collected.values(variant, shots, lambda r: fmean(r.forgetting[task] for task in trained[:-1])),
            collected.values(variant, shots, lambda r: r.figures["bwt"]),
        )
        accuracy, forgetting, transfer = map(summarise_values, figures)
        signed = (interval_cell(summary, sign=True) for summary in (forgetting, transfer))
        rows.append((variant, layout.shots_cell(collected, shots, variant), interval_cell(accuracy), *signed))
    columns = (
        STRATEGY,
        SHOTS,
        Column("average accuracy", "accuracy", SUMMARY_PARTS),
        Column("forgetting", "forgetting", SUMMARY_PARTS),
        Column("backward transfer", "bwt", SUMMARY_PARTS),
    )
    note = (
        f"Means over the tasks: accuracy at the end over all {len(trained)}, forgetting and backward transfer over all but "
        f"the last. contsym metrics has the conventions of other papers. {layout.interval_note(collected)}."
    )
    return make_table("means", "All tasks together, at the end", columns, rows, note)


def shortcut_by_shots(measures: Measures, task: str) -> str:
    """Accuracy and name of the best shortcut; per number of shots where they differ."""
    best = {n: measures.best_shortcut(task, n) for n in measures.collected.shots}
    texts = {n: f"{pair[1]:.3f} ({pair[0].replace('_', ' ')})" for n, pair in best.items() if pair}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return ", ".join(f"{text} at {measures.collected.shots_words(n)}" for n, text in texts.items())


def shortcut_table(measures: Measures) -> Table:
    """The accuracy of each shortcut, mean over the seeds."""
    collected = measures.collected
    rows = []
    for task in collected.tasks:
        by_shots = [measures.shortcuts(task, n) for n in collected.shots]
        for name in next(filter(None, by_shots), ()):
            rows.append((title_of(task), name.replace("_", " "), *(means.get(name) for means in by_shots)))
    columns = (TASK, text_column("shortcut"), *layout.shots_columns(collected, form="{:.3f}"))
    note = f"Trained on the same {collected.units()} as the strategies; a strategy that is not above them may only guess."
    return make_table("shortcuts", "Accuracy of shortcuts", columns, rows, note)


def matrix_table(measures: Measures) -> Table:
    import numpy as np

    collected = measures.collected
    tasks = (Column(title_of(task), task, form="{:.3f}") for task in collected.tasks)
    rows = []
    for variant, shots in layout.groups(collected):
        matrix = np.mean(collected.values(variant, shots, lambda result: result.matrix), axis=0)
        for name, row in zip(layout.row_names(collected), matrix.tolist(), strict=True):
            rows.append((variant, layout.shots_cell(collected, shots, variant), name, *row))
    note = f"Accuracy on each task's test {collected.units()} before training and after each experience, mean over seeds."
    columns = (STRATEGY, SHOTS, text_column("row"), *tasks)
    return make_table("matrices", "Accuracy matrices", columns, rows, note)


def relation_table(measures: Measures, task: str) -> Table:
    collected = measures.collected
    by_relation = {
        variant: [measures.by_relation(variant, shots, task) for shots in collected.shots]
        for variant in collected.variants
    }
    rows = []
    for name, n_pairs in layout.relations(collected, task).items():
        for variant, by_shots in by_relation.items():
            accuracies = (parts.get(name) for parts in by_shots)
            rows.append((layout.relation_title(name), n_pairs, variant, *accuracies))
    note = f"Accuracy at the end; the commonest relation first. {layout.interval_note(collected)}."
    columns = (text_column("relation"), Column(f"test {collected.units(task)}", "n"), STRATEGY)
    return make_table(
        f"relations-{task}",
        f"Accuracy by relation, {title_of(task)}",
        (*columns, *layout.shots_columns(collected, parts=SUMMARY_PARTS)),
        rows,
        note,
    )


def kind_table(measures: Measures, task: str) -> Table:
    collected = measures.collected
    rows = []
    for variant, shots in layout.groups(collected):
        if kinds := measures.by_kind(variant, shots, task):
            first, second = map(kinds.get, layout.KIND_NAMES)
            rows.append(
                (
                    variant,
                    layout.shots_cell(collected, shots, variant),
                    first,
                    second,
                    first.mean - second.mean if first and second else None,
                )
            )
    note = f"Accuracy at the end on the test {collected.units(task)} of each kind. {layout.interval_note(collected)}."
    columns = (
        STRATEGY,
        SHOTS,
        *(Column(name, parts=SUMMARY_PARTS) for name in layout.KIND_NAMES),
        Column("symmetric minus antisymmetric", "difference", form="{:+.3f}"),
    )
    title = f"Symmetric against antisymmetric, {title_of(task)}"
    return make_table(f"kinds-{task}", title, columns, rows, note)


PLACEMENTS = (
    Placement("accuracy", mean_table, is_open=True),
    Placement("accuracy", accuracy_table, each=layout.tasks_new_first),
    Placement("accuracy", shortcut_table),
    Placement("matrices", matrix_table),
    Placement("relations", relation_table, each=layout.relation_tasks),
    Placement("kinds", kind_table, each=layout.kind_tasks),
)
