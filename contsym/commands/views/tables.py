"""Tables as the terminal shows them."""

from __future__ import annotations

import unicodedata

from rich import box
from rich.table import Table
from rich.text import Text


def shown(text: str, style: str = "") -> Text:
    r"""Text that is no markup, with the signs that a terminal would obey written as their escapes.

    >>> shown("[red]a\x1b[2J").plain
    '[red]a\\x1b[2J'
    """
    return Text("".join(escaped(sign) for sign in text), style=style)


def escaped(sign: str) -> str:
    # Line ends and tabs too: one cell is one line.
    return sign.encode("unicode_escape").decode() if unicodedata.category(sign) in ("Cc", "Cs") else sign


def plain_table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in columns:
        table.add_column(column)
    return table


def grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    return grid
