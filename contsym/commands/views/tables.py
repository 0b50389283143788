"""Tables as the terminal shows them: whole numbers at any width, and nothing behind the end of a line."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

NARROWEST = 12
"""Characters that a column of text has at least, unless it has a `min_width` or its longest word is shorter."""


def short_uri(uri: str) -> str:
    """A URI with the path from here in place of an absolute one below this folder, which is longer than a line."""
    return uri.replace(f"{Path.cwd()}/", "") if uri.startswith("sqlite:") else uri


def shown(text: str, style: str = "") -> Text:
    r"""Text without markup, with control characters escaped: one cell stays one line.

    >>> shown("[red]a\x1b[2J").plain
    '[red]a\\x1b[2J'
    """
    escaped = (
        sign.encode("unicode_escape").decode() if unicodedata.category(sign) in ("Cc", "Cs") else sign
        for sign in text
    )
    return Text("".join(escaped), style=style)


class PlainTable(Table):
    """A table that cuts nothing: columns of text are folded first, and rows become lists where even that is too wide.

    rich itself cuts numbers where there is no room.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widths = self._fitting_widths(console, options)
        if widths is None:
            yield from self._lists()
            return
        before = [column.width for column in self.columns]
        for column, width in zip(self.columns, widths, strict=True):
            column.width = width
        try:
            yield from super().__rich_console__(console, options)
        finally:
            for column, width in zip(self.columns, before, strict=True):
                column.width = width

    def fits(self, console: Console, options: ConsoleOptions) -> bool:
        return self._fitting_widths(console, options) is not None

    def _fitting_widths(self, console: Console, options: ConsoleOptions) -> list[int | None] | None:
        """A width for each column; None where the table is too wide with the least ones."""
        room = (
            options.max_width - self._extra_width - sum(self._padding_of(i) for i in range(len(self.columns)))
        )
        most, whole, least = [], [], []
        for column in self.columns:
            cells = [Measurement.get(console, options, cell) for cell in self._texts(column)]
            widest = max((cell.maximum for cell in cells), default=0)
            widest = min(widest, column.max_width or widest)
            word = max((cell.minimum for cell in cells), default=0)
            word = max(word, column.min_width or 0)
            most.append(widest)
            whole.append(widest if column.no_wrap else min(widest, word))
            # The words of numbers stay whole; a long name may be folded anywhere.
            is_name = not column.no_wrap and column.justify != "right"
            least.append(min(whole[-1], column.min_width or NARROWEST) if is_name else whole[-1])
        if sum(most) <= room:
            return [None] * len(most)
        if sum(least) > room:
            return None
        # A word is broken only where there is no room for all words.
        widths = list(whole if sum(whole) <= room else least)
        left = room - sum(widths)
        while left and (short := [i for i in range(len(most)) if widths[i] < most[i]]):
            for i in short[:left]:
                widths[i] += 1
            left -= min(left, len(short))
        return list(widths)

    def _padding_of(self, place: int) -> int:
        _, right, _, left = self.padding
        is_edge = place in (0, len(self.columns) - 1) and not self.pad_edge
        if not is_edge:
            return left + right
        return (left if place else 0) + (right if place < len(self.columns) - 1 else 0)

    def _texts(self, column: Column) -> list[Any]:
        head = [column.header] if self.show_header and column.header else []
        return [*head, *column._cells]

    def _lists(self) -> RenderResult:
        """Each row as a list: its first column, then a line per other column that has a value."""
        if self.title:
            yield Text.from_markup(str(self.title), style="italic")
        first, *others = self.columns
        heads = [_text(column.header) for column in others]
        width = max(map(len, heads), default=0)
        for row in range(self.row_count):
            yield Text("")
            name = _text(first._cells[row]).plain
            yield Text(f"{_text(first.header).plain} {name}".strip(), style="bold", overflow="fold")
            for head, column in zip(heads, others, strict=True):
                value = _text(column._cells[row]).plain
                if value:
                    yield Text(f"  {head.plain:<{width}}  {value}".rstrip(), overflow="fold")
        yield Text("")


class Lines(Group):
    """Text and tables one below the other, without the blanks that rich has at the end of lines and a log keeps."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in console.render_lines(Group(*self.renderables), options, pad=False):
            yield from _stripped(line)
            yield Segment.line()


class FirstFitting:
    """The first of some tables that fits the width; the last one if none does."""

    def __init__(self, *tables: PlainTable) -> None:
        self.tables = tables

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield next((table for table in self.tables if table.fits(console, options)), self.tables[-1])


def _text(cell: Any) -> Text:
    return cell if isinstance(cell, Text) else Text.from_markup(str(cell))


def _stripped(line: Sequence[Segment]) -> list[Segment]:
    """The line without blanks at its end."""
    kept = list(line)
    while kept and not kept[-1].text.rstrip(" "):
        kept.pop()
    if kept:
        last = kept[-1]
        kept[-1] = Segment(last.text.rstrip(" "), last.style, last.control)
    return kept


def plain_table(title: str, *columns: str, **options: Any) -> PlainTable:
    """A table with columns of text; `options` are those of each column."""
    table = PlainTable(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in columns:
        table.add_column(column, **{"overflow": "fold", **options})
    return table


def add_numbers(table: Table, *titles: str, **options: Any) -> None:
    """Add columns of numbers: to the right, and never wrapped unless `options` say so."""
    for title in titles:
        table.add_column(escape(title), **{"justify": "right", "no_wrap": True, **options})


def grid() -> PlainTable:
    """Names and values without a frame."""
    grid = bare_table()
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def bare_table() -> PlainTable:
    """Without a frame and heads."""
    return PlainTable(
        box=None,
        padding=(0, 2),
        collapse_padding=True,
        show_header=False,
        show_footer=False,
        show_edge=False,
        pad_edge=False,
    )
