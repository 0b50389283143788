"""One table, four ways to write it: HTML (by the template), Markdown, CSV and LaTeX with booktabs."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from contsym.files import shield, write_file
from contsym.results.metrics.stats import Summary

Value = str | int | float | None


@dataclass(frozen=True)
class Cell:
    """What people read, and the plain values behind it, one for each part of the column."""

    text: str
    values: tuple[Value, ...] = ()
    strong: bool = False
    """Set in bold: the best, where a test says so."""


@dataclass(frozen=True)
class Column:
    title: str
    key: str
    """In the header of the CSV."""
    parts: tuple[str, ...] = ("",)
    """Endings of the CSV's columns, as ("mean", "low", "high")."""
    is_text: bool = False

    @property
    def csv_names(self) -> list[str]:
        return [f"{self.key}_{part}" if part else self.key for part in self.parts]


@dataclass(frozen=True)
class Table:
    """`name` is the file's; a row has a cell for each column."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        for row in self.rows:
            assert len(row) == len(self.columns), (
                f"{self.name}: {len(row)} cells, {len(self.columns)} columns"
            )


SUMMARY_PARTS = ("mean", "low", "high", "n")


def words(text: object, *, strong: bool = False) -> Cell:
    """A cell of text; its value in the CSV is the same text."""
    return Cell(str(text), (str(text),), strong)


def number(value: float | None, shown: str = "{:,}", none: str = "") -> Cell:
    """A cell of one number; `none` where there is none.

    >>> number(1234).text, number(0.5, "{:.1%}").text, number(None, none="not reached").text
    ('1,234', '50.0%', 'not reached')
    """
    return Cell(none if value is None else shown.format(value), (value,))


def interval(summary: Summary, *, sign: bool = False, scale: float = 1, digits: int = 3) -> Cell:
    """A cell of mean and interval, as `0.953 [0.940, 0.967]`; values: mean, low, high, number of seeds."""
    parts = (summary.mean, summary.low, summary.high)
    return Cell(interval_text(summary, sign=sign, scale=scale, digits=digits), (*parts, summary.n))


def interval_text(summary: Summary, *, sign: bool = False, scale: float = 1, digits: int = 3) -> str:
    def shown(value: float) -> str:
        # Adding zero makes of -0.0 the zero that it is.
        rounded = round(value * scale, digits) + 0.0
        return f"{rounded:+.{digits}f}" if sign else f"{rounded:.{digits}f}"

    if summary.low is None or summary.high is None:
        return shown(summary.mean)
    return f"{shown(summary.mean)} [{shown(summary.low)}, {shown(summary.high)}]"


def nothing(column: Column, text: str) -> Cell:
    """A cell of words in a column of numbers: its values are empty."""
    return Cell(text, (None,) * len(column.parts))


def to_markdown(table: Table) -> str:
    """With the title above and the notes below; `|` and line ends in cells are escaped."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    lines = [
        f"**{_markdown(table.title)}**",
        "",
        line([_markdown(column.title) for column in table.columns]),
        "|" + "|".join("---" if column.is_text else "---:" for column in table.columns) + "|",
    ]
    for row in table.rows:
        lines.append(line([f"**{_markdown(c.text)}**" if c.strong else _markdown(c.text) for c in row]))
    lines += [f"\n{_markdown(note)}" for note in table.notes]
    return "\n".join(lines) + "\n"


def _markdown(text: str) -> str:
    return re.sub(r"([\\|*_`<>\[\]])", r"\\\1", " ".join(text.split()))


def to_csv(table: Table) -> str:
    """The plain values at full precision; what has no figure is empty, what is words is in a column of its own.

    Text that a spreadsheet would take for a formula has an apostrophe before it (contsym.cells).
    A column of several parts gets `KEY_note` behind it where a cell has words in place of figures.
    """
    noted = [
        any(_is_words(row[i]) for row in table.rows) and not column.is_text
        for i, column in enumerate(table.columns)
    ]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    header = []
    for column, has_note in zip(table.columns, noted, strict=True):
        header += [*column.csv_names, *([f"{column.key}_note"] if has_note else [])]
    writer.writerow(header)
    for row in table.rows:
        written: list[Value] = []
        for cell, has_note in zip(row, noted, strict=True):
            written += [*cell.values, *([cell.text if _is_words(cell) else None] if has_note else [])]
        writer.writerow([shield(value) if isinstance(value, str) else value for value in written])
    return out.getvalue()


def _is_words(cell: Cell) -> bool:
    return bool(cell.text) and all(value is None for value in cell.values)


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
    kinds = "".join("l" if column.is_text else "r" for column in table.columns)
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{_latex(' '.join([table.title + '.', *table.notes]))}}}",
        f"\\label{{tab:{re.sub(r'[^a-z0-9-]', '-', table.name)}}}",
        f"\\begin{{tabular}}{{{kinds}}}",
        "\\toprule",
        " & ".join(_latex(column.title) for column in table.columns) + " \\\\",
        "\\midrule",
    ]
    for row in table.rows:
        cells = [f"\\textbf{{{_latex(cell.text)}}}" if cell.strong else _latex(cell.text) for cell in row]
        # A row that begins with [ would be read as the \\ before it having an optional argument.
        lines.append(" & ".join(cells).replace("[", "{[}", 1 if cells[0].startswith("[") else 0) + " \\\\")
    lines += ["\\bottomrule", "\\end{tabular}", "\\end{table}"]
    return "\n".join(lines) + "\n"


def _latex(text: str) -> str:
    return "".join(LATEX_SIGNS.get(sign, sign) for sign in " ".join(text.split()))


WRITERS = {"md": to_markdown, "csv": to_csv, "tex": to_latex}


def write_tables(tables: Sequence[Table], folder: Path) -> None:
    """Each table as Markdown, CSV and LaTeX in the folder, under its name, in signs that any file system takes."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        for ending, write in WRITERS.items():
            name = re.sub(r"[^\w.-]", "_", table.name)
            write_file(folder / f"{name}.{ending}", write(table))
