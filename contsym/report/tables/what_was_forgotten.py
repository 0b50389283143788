"""What was forgotten, not only how much: by skill and group of the data, and by rule of the audit of training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from contsym.report.collect import Collected, title_of
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
from contsym.report.tables.layout import SHOTS, STRATEGY, groups, interval_note, shots_cell, shots_key
from contsym.results.metrics.stats import Summary, p_text, summarise_values
from contsym.results.training_audit import Audited, Judged, sentence
from contsym.tasks.schema import GROUPS

AUDIT_NOTE = (
    "Before: the model before the run's last task; twin: that model with the best constant preference for labels. "
    "Change: of the new task against the twin, of a rule against the model before, with its 95% interval over seeds "
    "and examples. p: the largest of a paired bootstrap's, McNemar's and the paired t test's over seeds, of rules "
    "corrected after Holm. Kappa: agreement with the twin's answers beyond chance. Explained: the share of changed "
    "answers that the twin gives too."
)


def verdict_table(measures: Measures) -> Table:
    """A row per audited method."""
    rows = [
        (
            name,
            shots_cell(measures.collected, shots, name),
            _word(found.verdict),
            len(found.seeds),
            sentence(found).partition(": ")[2],
        )
        for name, shots, found in audits(measures)
    ]
    columns = (STRATEGY, SHOTS, text_column("verdict"), Column("seeds"), text_column("why"))
    return make_table("verdicts", "A rule learned, or a label bias", columns, rows)


def rules_table(measures: Measures) -> Table:
    """A row per audited method and rule that was known before; first the new task."""
    rows: list[tuple[Any, ...]] = []
    for name, shots, found in audits(measures):
        for judged in (found.task, *found.known):
            rows.append(
                (
                    judged.name,
                    name,
                    shots_cell(measures.collected, shots, name),
                    *_cells(judged, len(found.seeds)),
                )
            )
    columns = (
        text_column("rule"),
        STRATEGY,
        SHOTS,
        *(Column(title, form="{:.3f}") for title in ("before", "after", "twin")),
        Column("change", parts=SUMMARY_PARTS),
        Column("p"),
        *(Column(title, form="{:.2f}") for title in ("kappa", "explained")),
        text_column("verdict"),
    )
    return make_table("rules", "Accuracy on rules that the encoder knew before", columns, rows, AUDIT_NOTE)


def _cells(judged: Judged, n_seeds: int) -> tuple[Any, ...]:
    change = Summary(
        n_seeds, judged.change.difference, None, judged.change.low, judged.change.high, "bootstrap"
    )
    return (
        judged.before,
        judged.after,
        judged.twin,
        interval_cell(change, sign=True),
        Cell(p_text(judged.p), (judged.p,)),
        judged.kappa,
        judged.explained,
        _word(judged.verdict),
    )


def _word(verdict: str) -> Cell:
    return Cell(verdict, (verdict,), strong=verdict in ("label bias", "lost"))


def audits(measures: Measures) -> Iterator[tuple[str, int, Audited]]:
    """The audited groups: variant, shots, verdicts."""
    for variant, shots in groups(measures.collected):
        if found := measures.audited(variant, shots):
            yield variant, shots, found


def parts_table(measures: Measures, task: str) -> Table:
    """Forgetting of each skill and group of a task's test pairs, a column per method and shots."""
    collected = measures.collected
    shown = [*groups(collected)]
    columns = (
        text_column("part"),
        Column(f"test {collected.units(task)}", "test pairs"),
        *(
            Column(
                f"{variant}, {collected.shots_words(n)}",
                f"{variant}_{shots_key(collected, n)}",
                SUMMARY_PARTS,
            )
            for variant, n in shown
        ),
    )
    rows = []
    for column, name, n_pairs in _parts(collected, task):
        cells = [_forgotten(measures, variant, shots, task, column, name) for variant, shots in shown]
        rows.append((name, n_pairs, *cells))
    note = (
        f"Accuracy right after the task's own training minus that at the end, on the test {collected.units(task)} that "
        f"need the skill or are of the group. {interval_note(collected)}."
    )
    return make_table(
        f"forgotten-parts-{task}", f"What was forgotten of {title_of(task)}", columns, rows, note
    )


def _forgotten(
    measures: Measures, variant: str, shots: int, task: str, column: str, name: str
) -> Cell | None:
    values = []
    for result in measures.collected.group(variant, shots):
        rows = getattr(result, f"by_{column}").get(task)
        if rows and name in rows[0]:
            own = rows[result.tasks.index(task) + 1][name].accuracy
            values.append(own - rows[-1][name].accuracy)
    return interval_cell(summarise_values(values), sign=True) if values else None


def _parts(collected: Collected, task: str) -> Iterator[tuple[str, str, int]]:
    """(column, name, test pairs), those of most pairs first."""
    for column in GROUPS:
        rows = getattr(collected.first, f"by_{column}").get(task)
        for name, part in sorted(rows[-1].items(), key=lambda item: (-item[1].n, item[0])) if rows else ():
            yield column, name, part.n


def _with_parts(collected: Collected) -> list[str]:
    return [task for task in collected.earlier_tasks if any(_parts(collected, task))]


PLACEMENTS = (
    Placement("audit", verdict_table, is_open=True),
    Placement("audit", rules_table),
    Placement("trade-off", parts_table, each=_with_parts),
)
