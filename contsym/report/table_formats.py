"""One table in four notations: HTML (by the template), Markdown, CSV and LaTeX with booktabs.

Neither pandas nor tabulate escapes names from the data for all three files, so the writers are our own.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contsym.files import shield, write_file
from contsym.results.metrics.stats import Summary

Value = str | int | float | None

SUMMARY_PARTS = ("mean", "low", "high", "n")
NOTHING = "–"


@dataclass(frozen=True)
class Cell:
    """The text for people, and one plain value per part of the column; no values: the text stands for figures."""

    text: str
    values: tuple[Value, ...] = ()
    strong: bool = False
    """Bold: the best, where a test says so."""
    note: str = ""
    """Words beside the figures: after them in the text, in a column of their own in a CSV."""


@dataclass(frozen=True)
class Column:
    title: str
    key: str = ""
    """The name in the header of the CSV; default: the title."""
    parts: tuple[str, ...] = ("",)
    """Suffixes of the CSV's columns, as ("mean", "low", "high")."""
    is_text: bool = False
    form: str = "{:,}"
    """How numbers are written."""

    def cell(self, value: Cell | Summary | Value) -> Cell:
        """The cell of a value.

        >>> Column("x").cell(1234).text, Column("x", form="{:.1%}").cell(0.5).text, Column("x").cell(None).text
        ('1,234', '50.0%', '–')
        """
        if isinstance(value, Cell):
            return value
        if isinstance(value, Summary):
            return interval_cell(value)
        if value is None:
            return Cell(NOTHING)
        return Cell(value if isinstance(value, str) else self.form.format(value), (value,))


@dataclass(frozen=True)
class Table:
    name: str
    """The name of its files."""
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    """One cell per column."""
    notes: tuple[str, ...] = ()


def make_table(
    name: str,
    title: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Any]],
    *notes: str,
) -> Table:
    """A table of values, which the columns turn into cells (`Column.cell`)."""
    cells = (tuple(c.cell(value) for c, value in zip(columns, row, strict=True)) for row in rows)
    return Table(name, title, tuple(columns), tuple(cells), notes)


def text_column(title: str, key: str = "") -> Column:
    return Column(title, key, is_text=True)


def interval_cell(
    summary: Summary,
    *,
    sign: bool = False,
    scale: float = 1,
    digits: int = 3,
    strong: bool = False,
    note: str = "",
) -> Cell:
    """A cell of mean and interval, with the note in brackets; its values are `SUMMARY_PARTS`."""
    text = interval_text(summary, sign=sign, scale=scale, digits=digits)
    values = (summary.mean, summary.low, summary.high, summary.n)
    return Cell(f"{text} ({note})" if note else text, values, strong, note)


def interval_text(summary: Summary, *, sign: bool = False, scale: float = 1, digits: int = 3) -> str:
    """Mean and interval, as `0.953 [0.940, 0.967]`."""

    def shown(value: float) -> str:
        # Adding zero turns -0.0 into 0.0.
        rounded = round(value * scale, digits) + 0.0
        return f"{rounded:+.{digits}f}" if sign else f"{rounded:.{digits}f}"

    if summary.low is None or summary.high is None:
        return shown(summary.mean)
    return f"{shown(summary.mean)} [{shown(summary.low)}, {shown(summary.high)}]"


def to_markdown(table: Table) -> str:
    """With the title above and the notes below."""
    lines = [
        f"**{_markdown(table.title)}**",
        "",
        _markdown_row(_markdown(column.title) for column in table.columns),
        "|" + "|".join("---" if column.is_text else "---:" for column in table.columns) + "|",
    ]
    for row in table.rows:
        texts = [_markdown(cell.text) for cell in row]
        lines.append(_markdown_row(f"**{t}**" if c.strong else t for t, c in zip(texts, row, strict=True)))
    lines += [f"\n{_markdown(note)}" for note in table.notes]
    return "\n".join(lines) + "\n"


def _markdown_row(texts: Iterable[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def _markdown(text: str) -> str:
    return re.sub(r"([\\|*_`<>\[\]])", r"\\\1", " ".join(text.split()))


def to_csv(table: Table) -> str:
    """The plain values at full precision.

    `shield` keeps spreadsheets from reading text as a formula. Where a column of numbers has notes beside them
    or a cell of text, a column `KEY_note` holds these; beside text the numbers are empty.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = []
    for i, column in enumerate(table.columns):
        key = column.key or column.title
        names = [f"{key}_{part}" if part else key for part in column.parts]
        values = [row[i].values or (None,) * len(names) for row in table.rows]
        notes = [
            row[i].text if all(value is None for value in row[i].values) else row[i].note
            for row in table.rows
        ]
        if any(notes) and not column.is_text:
            names.append(f"{key}_note")
            values = [(*cell, note) for cell, note in zip(values, notes, strict=True)]
        columns.append([names, *values])
    for line in zip(*columns, strict=True):
        writer.writerow(
            shield(value) if isinstance(value, str) else value for values in line for value in values
        )
    return out.getvalue()


LATEX_SIGNS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "⊘": r"$\oslash$",
    "∘": r"$\circ$",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "–": "--",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def to_latex(table: Table) -> str:
    """A `table` environment; needs \\usepackage{booktabs}."""
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{_latex(' '.join([table.title + '.', *table.notes]))}}}",
        f"\\label{{tab:{re.sub(r'[^a-z0-9-]', '-', table.name)}}}",
        f"\\begin{{tabular}}{{{''.join('l' if column.is_text else 'r' for column in table.columns)}}}",
        "\\toprule",
        " & ".join(_latex(column.title) for column in table.columns) + " \\\\",
        "\\midrule",
    ]
    for row in table.rows:
        cells = [f"\\textbf{{{_latex(cell.text)}}}" if cell.strong else _latex(cell.text) for cell in row]
        # LaTeX would read a [ at the start of a row as an argument of the \\ before it.
        lines.append(" & ".join(cells).replace("[", "{[}", 1 if cells[0].startswith("[") else 0) + " \\\\")
    lines += ["\\bottomrule", "\\end{tabular}", "\\end{table}"]
    return "\n".join(lines) + "\n"


def _latex(text: str) -> str:
    return "".join(LATEX_SIGNS.get(sign, sign) for sign in " ".join(text.split()))


WRITERS = {"md": to_markdown, "csv": to_csv, "tex": to_latex}


def write_tables(tables: Sequence[Table], folder: Path) -> None:
    """Write each table in every notation."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        for ending, write in WRITERS.items():
            write_file(folder / f"{file_name(table)}.{ending}", write(table))


def file_name(table: Table) -> str:
    """The name of its files without ending; a sign that a file system may refuse becomes `_`."""
    return re.sub(r"[^\w.-]", "_", table.name)
