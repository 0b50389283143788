"""What several tables say alike: intervals, kinds and relations, a column a number of shots."""

from __future__ import annotations

from collections.abc import Sequence

from contsym.data.wikidata.relations import registry
from contsym.report.collect import Collected, title_of
from contsym.report.measures import Measures
from contsym.report.table_formats import SUMMARY_PARTS, Column, Table, words

NOT_STORED = "–"

KIND_NAMES = ("symmetric", "antisymmetric")


def interval_note(collected: Collected, shown_as: str = "Brackets") -> str:
    """What the intervals are, for these seeds."""
    if len(collected.seeds) == 1:
        return (
            f"{shown_as}: 95% Wilson interval over the test pairs, of an accuracy alone; one seed says nothing about "
            "other seeds"
        )
    return f"{shown_as}: 95% bootstrap interval of the mean over {collected.seeds_said}"


def kind_tasks(collected: Collected) -> list[str]:
    return [task for task in collected.tasks if collected.first.by_kind.get(task)]


def relations(measures: Measures, task: str) -> dict[str, int]:
    """Test pairs by relation, the commonest first; the data are the same in all results."""
    parts = measures.collected.first.by_relation.get(task, {})
    return {name: parts[name].n for name in sorted(parts, key=lambda name: (-parts[name].n, name))}


def relation_title(name: str) -> str:
    """A relation as people read it: a Wikidata property with its label.

    >>> relation_title("P26"), relation_title("is the father of")
    ('spouse (P26)', 'is the father of')
    """
    label = registry().names.get(name)
    return f"{label} ({name})" if label else name


def row_names(collected: Collected) -> list[str]:
    return ["untrained", *(f"after {title_of(task)}" for task in collected.tasks)]


def by_shots(collected: Collected, name: str, title: str, cell, notes: Sequence[str]) -> Table:
    columns = (
        Column("strategy", "strategy", is_text=True),
        *(Column(f"{n:,} shots", f"shots_{n}", SUMMARY_PARTS) for n in collected.shots),
    )
    rows = tuple(
        (words(v), *(cell(columns[i + 1], v, n) for i, n in enumerate(collected.shots)))
        for v in collected.variants
    )
    return Table(name, title, columns, rows, tuple(notes))
