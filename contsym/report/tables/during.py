"""Accuracy on earlier tasks during training, and forgetting at equal places."""

from __future__ import annotations

from contsym.report.collect import title_of
from contsym.report.during import Places, Reached, measured_tasks
from contsym.report.measures import Measures
from contsym.report.placement import Placement
from contsym.report.table_formats import SUMMARY_PARTS, Cell, Column, Table, interval_cell, make_table
from contsym.report.tables.layout import SHOTS, STRATEGY, interval_note, shots_cell

NOT_REACHED = "not reached"


def during_table(measures: Measures, task: str) -> Table:
    """A row per strategy and number of shots."""
    rows, collected = measures.during.get(task, []), measures.collected
    is_relearned, units = any(row.relearned for row in rows), collected.units(task)
    columns = [
        STRATEGY,
        SHOTS,
        *(
            Column(title, key, SUMMARY_PARTS)
            for title, key in (
                ("accuracy before", "before"),
                ("min-ACC", "min_acc"),
                ("WC-ACC", "worst_case_accuracy"),
                ("stability gap", "stability_gap"),
                ("average anytime accuracy", "average_anytime_accuracy"),
                ("forgetting (a) at the target", "forgetting_at_target"),
                ("(b) at equal steps", "forgetting_at_equal_steps"),
                ("(c) at equal distance of the weights", "forgetting_at_equal_weights_distance"),
                ("(c) at equal 1 − CKA", "forgetting_at_equal_features_distance"),
                *([(f"{units} to relearn it", "pairs_to_relearn")] if is_relearned else []),
            )
        ),
    ]
    cells = (
        (
            row.variant,
            shots_cell(collected, row.shots, row.variant),
            row.before,
            row.min_acc,
            row.worst_case_accuracy,
            row.stability_gap,
            row.average_anytime_accuracy,
            reached_cell(row.at_target),
            reached_cell(row.at_steps) if row.takes_steps else Cell("no steps"),
            reached_cell(row.at_weights),
            reached_cell(row.at_features),
            *([_relearned_cell(row.relearned)] if is_relearned else []),
        )
        for row in rows
    )
    places = {row.shots: row.places for row in rows}
    where = "; ".join(
        f"{collected.shots_words(shots)}: {_places_text(each)}" for shots, each in sorted(places.items())
    )
    intervals = interval_note(collected) if len(collected.seeds) > 1 else "One seed has no interval here"
    return make_table(
        f"during-{task}",
        f"{title_of(task)} during the training on {title_of(collected.last_task)}",
        columns,
        cells,
        f"On validation {units}. (a): when {title_of(collected.last_task)} first has an accuracy of {measures.target:g}; (b) "
        "and (c): at the least final value of any seed of any method that moves, to which all of these have come "
        f"({where}).",
        "A method that forgets less in (a) but not in (b) forgets less because it stops sooner; one that forgets less "
        "in (b) but not in (c), because it moves less per step.",
        "min-ACC is the mean over the earlier tasks of the least accuracy during later training; WC-ACC, the "
        "worst-case accuracy, adds the accuracy on the new task; the stability gap is the part of a loss that comes "
        f"back (docs/readings.md). {intervals}.",
    )


def reached_cell(reached: Reached) -> Cell:
    """Mean and interval over the seeds that came there."""
    if reached.summary is None:
        return Cell(NOT_REACHED)
    return interval_cell(reached.summary, sign=True, note=reached.note)


def _relearned_cell(reached: Reached | None) -> Cell | None:
    if reached is None:
        return None
    if reached.summary is None:
        return Cell(NOT_REACHED)
    return interval_cell(reached.summary, digits=0, note=reached.note)


def _places_text(places: Places) -> str:
    texts = (
        None if places.n_steps is None else f"{places.n_steps:,} steps",
        None if places.weights_distance is None else f"distance of the weights {places.weights_distance:.3g}",
        None if places.features_distance is None else f"1 − CKA {places.features_distance:.3g}",
    )
    return ", ".join(text for text in texts if text) or "nothing moves"


PLACEMENTS = (Placement("during", during_table, each=measured_tasks, is_open=True),)
