"""What several tables share: columns, rows, titles of relations, the note on intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from contsym.data.wikidata.relations import registry
from contsym.report.collect import Collected, title_of
from contsym.report.table_formats import SUMMARY_PARTS, Cell, Column, Table, make_table, text_column
from contsym.results.compare import FEW_SEEDS
from contsym.results.reading import shots_seen

KIND_NAMES = ("symmetric", "antisymmetric")
STRATEGY, SHOTS, TASK = text_column("strategy"), Column("shots"), text_column("task")


def groups(collected: Collected) -> Iterator[tuple[str, int]]:
    """Variant and shots of every group that has a result."""
    for variant in collected.variants:
        for shots in collected.shots:
            if collected.group(variant, shots):
                yield variant, shots


def shots_columns(collected: Collected, **more: Any) -> tuple[Column, ...]:
    return tuple(Column(collected.shots_words(n), shots_key(collected, n), **more) for n in collected.shots)


def shots_key(collected: Collected, n: int) -> str:
    return f"shots_{n}" if collected.is_fixed(n) else f"up_to_{n}"


def shots_cell(collected: Collected, shots: int, variant: str | None = None) -> Cell:
    """The cell of a number of shots: as many as the results, or those of a variant, learned from, and of how many.

    In a CSV the number is that of all shots, with the words beside it where fewer were learned from.
    """
    words = shots_seen(collected.group(variant, shots) if variant else collected.at(shots))
    return Cell(words, (shots,), note="" if collected.is_fixed(shots) else words)


def by_shots(
    collected: Collected, name: str, title: str, cell: Callable[[str, int], Cell | None], *notes: str
) -> Table:
    """A row per variant, a column per number of shots."""
    rows = ((variant, *(cell(variant, n) for n in collected.shots)) for variant in collected.variants)
    columns = (STRATEGY, *shots_columns(collected, parts=SUMMARY_PARTS))
    return make_table(name, title, columns, rows, *notes)


def tasks_new_first(collected: Collected) -> list[str]:
    return sorted(collected.tasks, key=lambda task: task != collected.new_task)


def kind_tasks(collected: Collected) -> list[str]:
    """The tasks of symmetric and antisymmetric relations."""
    return [
        task for task in collected.tasks if set(KIND_NAMES) & {*collected.first.by_kind.get(task, [{}])[-1]}
    ]


def relation_tasks(collected: Collected) -> list[str]:
    """The tasks whose data name relations."""
    return [task for task in collected.tasks if collected.first.by_relation.get(task)]


def relations(collected: Collected, task: str) -> dict[str, int]:
    """The number of test pairs per relation, the commonest first; all results have the same data."""
    parts = collected.first.by_relation.get(task, {})
    return {name: parts[name].n for name in sorted(parts, key=lambda name: (-parts[name].n, name))}


def relation_title(name: str) -> str:
    """A Wikidata property with its label; any other relation as it is.

    >>> relation_title("P26"), relation_title("is the father of")
    ('spouse (P26)', 'is the father of')
    """
    label = registry().names.get(name)
    return f"{label} ({name})" if label else name


def row_names(collected: Collected) -> list[str]:
    """The names of the rows of an accuracy matrix."""
    start = "pretrained" if collected.first.options.protocol == "retrain" else "untrained"
    return [start, *(f"after {title_of(task)}" for task in collected.tasks)]


def median_note(collected: Collected) -> str:
    """What the brackets beside a median over seeds are; the bootstrap's interval of fewer than six spans all of them."""
    return f"with {'the range of the seeds' if len(collected.seeds) < 6 else 'its 95% bootstrap interval'}"


def interval_note(collected: Collected, shown_as: str = "Brackets") -> str:
    """How the intervals are computed for this number of seeds."""
    if len(collected.seeds) == 1:
        return (
            f"{shown_as}: 95% Wilson interval over the test {collected.units()}, for accuracies only; "
            "one seed says nothing about other seeds"
        )
    if len(collected.seeds) < FEW_SEEDS:
        return (
            f"{shown_as}: the range of {collected.seeds_text}, too few for an interval (docs/statistics.md); it does not "
            f"cover other test {collected.units()}"
        )
    return (
        f"{shown_as}: 95% bootstrap interval of the mean over {collected.seeds_text}; it does not cover other test "
        f"{collected.units()}"
    )
