"""The table of what a researcher waits for: each row with what it is compared with, its aim and the measured figure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from speed.ratios import Comparison


@dataclass(frozen=True)
class Row:
    what: str
    against: str
    aim: float
    measure: str
    """The module of benchmarks/speed/."""
    parts: tuple[str, ...] = ()
    """In the name of the comparison that is meant."""
    unit: str = "x"
    at_most: bool = False

    def found_in(self, comparisons: Sequence[Comparison]) -> Comparison | None:
        of_row = (
            c for c in comparisons if c.measure == self.measure and all(part in c.name for part in self.parts)
        )
        return next(of_row, None)


ROWS = (
    Row("first answer: the default run", "a plain script that measures the same", 4, "first_answer"),
    Row("the paper's table", "`contsym run` per cell", 5, "paper_table"),
    Row("few-shot sweep", "`contsym run` per cell", 4, "sweep"),
    Row("64 pairs to 0.99, `knn_fixed`", "SetFit's trainer", 1.5, "until_099", ("knn_fixed", "/ SetFit")),
    Row("encoding, as `--precision auto`", "sentence-transformers' default", 3, "encode", ("default",)),
    Row("planning 48 cells, 392,702 pairs", "", 20, "planning", unit=" s", at_most=True),
    Row("second start, 392,702 + 400,000", "the first start", 10, "second_start"),
    Row("`contsym run` to its first batch", "`import avalanche`", 1, "first_batch"),
    Row(
        "default run beside a busy process",
        "the same on idle cores",
        1.6,
        "default_run",
        ("beside",),
        at_most=True,
    ),
    Row("peak memory of the default run", "", 1.2, "default_run", ("peak memory",), " GB", at_most=True),
)


def table(found: Sequence[Comparison]) -> str:
    """The rows as Markdown, with the median and the range of the rounds."""
    lines = ["| what a researcher waits for | against | measured | aim |", "|---|---|---|---|"]
    for row in ROWS:
        comparison = row.found_in(found)
        aim = f"{'at most ' if row.at_most else ''}{row.aim:g}{row.unit if row.unit != 'x' else ''}"
        measured = "not measured" if comparison is None else figure(row, comparison)
        lines.append(f"| {row.what} | {row.against} | {measured} | {aim} |")
    return "\n".join(lines)


def figure(row: Row, comparison: Comparison) -> str:
    """
    >>> memory = Comparison("m", "n", ours=[1.0, 1.5, 1.75], theirs=[], agrees=True, agreement="")
    >>> figure(Row("memory", "", 1.2, "m", unit=" GB", at_most=True), memory)
    '1.5 GB (1 to 1.75): missed'
    """
    value, low, high = comparison.ratio, min(comparison.ratios), max(comparison.ratios)
    is_met = value <= row.aim if row.at_most else value >= row.aim
    of_one = f"{value:.3g}{row.unit if row.unit != 'x' else ''} ({low:.3g} to {high:.3g})"
    return of_one if is_met else f"{of_one}: missed"


def details(found: Sequence[Comparison]) -> str:
    """Every comparison as a row of Markdown; contsym's own figure where there is no other way.

    >>> print(details([Comparison("m", "a / b", [1.0, 2.0, 4.0], [3.0, 4.0, 4.0], True, "equal", aim=2.0)]))
    | comparison | ratio | contsym, s | compared with, s | aim | results |
    |---|---|---|---|---|---|
    | m: a / b | 2 (1 to 3) | 2 | 4 | 2 | equal |
    >>> print(details([Comparison("m", "busy / idle", [2.0], [3.0], True, "equal", at_most=True)]).splitlines()[-1])
    | m: busy / idle | 1.5 (1.5 to 1.5) | 2 (idle) | 3 (busy) |  | equal |
    """
    lines = [
        "| comparison | ratio | contsym, s | compared with, s | aim | results |",
        "|---|---|---|---|---|---|",
    ]
    for each in found:
        pair = (each.ours, each.theirs) if each.theirs else ((), ())
        seconds = [f"{statistics.median(of):.3g}" if of else "" for of in pair]
        if each.at_most and each.theirs:
            # Both are contsym's, and the name has what is compared with first.
            theirs, _, ours = each.name.partition(" / ")
            seconds = [f"{seconds[0]} ({ours})", f"{seconds[1]} ({theirs})"]
        ratio = f"{each.ratio:.3g} ({min(each.ratios):.3g} to {max(each.ratios):.3g})"
        cells = [each.key, f"{ratio}{'' if each.is_met else ': missed'}", *seconds]
        cells += [
            "" if each.aim is None else f"{'at most ' if each.at_most else ''}{each.aim:g}",
            each.agreement,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
