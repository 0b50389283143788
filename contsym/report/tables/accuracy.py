"""Accuracy: at the end, by kind, by relation, as matrices; and what shortcuts score."""

from __future__ import annotations

from collections.abc import Mapping

from contsym.report.collect import Collected, title_of
from contsym.report.measures import Measures
from contsym.report.table_formats import SUMMARY_PARTS, Cell, Column, Table, interval, nothing, number, words
from contsym.report.tables.layout import (
    KIND_NAMES,
    NOT_STORED,
    by_shots,
    interval_note,
    relation_title,
    relations,
    row_names,
)


def accuracy_table(measures: Measures, task: str) -> Table:
    """Final accuracy: a row a variant, a column a number of shots; bold where the test says best."""
    collected = measures.collected

    def cell(column: Column, variant: str, shots: int) -> Cell:
        found = measures.accuracy(variant, shots, task)
        if found is None:
            return nothing(column, NOT_STORED)
        family = measures.family(task, shots)
        plain = interval(found)
        return Cell(plain.text, plain.values, bool(family and family.best == variant))

    notes = [
        f"{collected.first.n_test[task]:,} test pairs. {interval_note(collected)}. Bold: better than every other "
        "by every test, Holm-corrected."
    ]
    if shown := shortcut_by_shots(measures, task):
        notes.append(f"The best shortcut scores {shown}.")
    return by_shots(collected, f"accuracy-{task}", f"Accuracy on {title_of(task)}, at the end", cell, notes)


def shortcut_by_shots(measures: Measures, task: str) -> str:
    """Score and name of the best shortcut; for each number of shots where it is not always the same."""
    found = {n: measures.best_shortcut(task, n) for n in measures.collected.shots}
    said = {n: f"{best[1]:.3f} ({best[0].replace('_', ' ')})" for n, best in found.items() if best}
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return ", ".join(f"{text} at {n:,} shots" for n, text in said.items())


def shortcut_table(collected: Collected) -> Table:
    """What each shortcut scores, mean over the seeds, by task and shots."""
    rows = []
    for task in collected.tasks:
        found: dict[int, list[Mapping[str, float]]] = {}
        for shots in collected.shots:
            for variant in collected.variants:
                for scores in collected.values(variant, shots, _scores_of(task)):
                    if scores:
                        found.setdefault(shots, []).append(scores)
        if not found:
            continue
        for name in next(iter(found.values()))[0]:
            means = {n: sum(s[name] for s in scores) / len(scores) for n, scores in found.items()}
            rows.append(
                (
                    words(title_of(task)),
                    words(name.replace("_", " ")),
                    *(number(means.get(n), "{:.3f}", NOT_STORED) for n in collected.shots),
                )
            )
    columns = (
        Column("task", "task", is_text=True),
        Column("shortcut", "shortcut", is_text=True),
        *(Column(f"{n:,} shots", f"shots_{n}") for n in collected.shots),
    )
    note = "Trained on the same pairs as the strategies; what scores no more has shown no more than guessing."
    return Table("shortcuts", "What shortcuts score", columns, tuple(rows), (note,))


def _scores_of(task: str):
    return lambda result: result.shortcuts.get(task)


def kind_table(measures: Measures, task: str) -> Table:
    collected = measures.collected
    columns = (
        Column("strategy", "strategy", is_text=True),
        Column("shots", "shots"),
        *(Column(name, name, SUMMARY_PARTS) for name in KIND_NAMES),
        Column("symmetric minus antisymmetric", "difference"),
    )
    rows = []
    for variant in collected.variants:
        for shots in collected.shots:
            found = measures.by_kind(variant, shots, task)
            if not found:
                continue
            parts = [found.get(name) for name in KIND_NAMES]
            first, second = parts
            gap = first.accuracy.mean - second.accuracy.mean if first and second else None
            rows.append(
                (
                    words(variant),
                    number(shots),
                    *(
                        interval(part.accuracy) if part else nothing(column, NOT_STORED)
                        for part, column in zip(parts, columns[2:4], strict=True)
                    ),
                    number(gap, "{:+.3f}", NOT_STORED),
                )
            )
    note = f"Accuracy at the end on the test pairs of each kind. {interval_note(collected)}."
    title = f"Symmetric against antisymmetric, {title_of(task)}"
    return Table(f"kinds-{task}", title, columns, tuple(rows), (note,))


def relation_table(measures: Measures, task: str) -> Table:
    collected = measures.collected
    columns = (
        Column("relation", "relation", is_text=True),
        Column("test pairs", "n"),
        Column("strategy", "strategy", is_text=True),
        *(Column(f"{n:,} shots", f"shots_{n}", SUMMARY_PARTS) for n in collected.shots),
    )
    rows = []
    for name, n in relations(measures, task).items():
        for variant in collected.variants:
            cells: list[Cell] = []
            for i, shots in enumerate(collected.shots):
                part = measures.by_relation(variant, shots, task).get(name)
                cells.append(interval(part.accuracy) if part else nothing(columns[3 + i], NOT_STORED))
            rows.append((words(relation_title(name)), number(n), words(variant), *cells))
    note = f"Accuracy at the end; the commonest relation first. {interval_note(collected)}."
    title = f"Accuracy by relation, {title_of(task)}"
    return Table(f"relations-{task}", title, columns, tuple(rows), (note,))


def matrix_table(measures: Measures) -> Table:
    import numpy as np

    collected = measures.collected
    columns = (
        Column("strategy", "strategy", is_text=True),
        Column("shots", "shots"),
        Column("row", "row", is_text=True),
        *(Column(title_of(task), task) for task in collected.tasks),
    )
    rows = []
    for variant in collected.variants:
        for shots in collected.shots:
            found = collected.values(variant, shots, lambda result: result.matrix)
            if found:
                for name, row in zip(row_names(collected), np.mean(found, axis=0).tolist(), strict=True):
                    rows.append(
                        (words(variant), number(shots), words(name), *(number(a, "{:.3f}") for a in row))
                    )
    note = "Accuracy on each task's test pairs before training and after each experience, mean over seeds."
    return Table("matrices", "Accuracy matrices", columns, tuple(rows), (note,))
