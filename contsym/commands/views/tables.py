"""Tables as the terminal shows them."""

from __future__ import annotations

import unicodedata
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text


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


def plain_table(title: str, *columns: str, **options: Any) -> Table:
    """A table with columns of text; `options` are those of each column."""
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in columns:
        table.add_column(column, **options)
    return table


def add_numbers(table: Table, *titles: str, **options: Any) -> None:
    """Add columns of numbers: to the right, and never wrapped unless `options` say so."""
    for title in titles:
        table.add_column(title, **{"justify": "right", "no_wrap": True, **options})


def grid() -> Table:
    """Names and values without a frame."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    return grid
