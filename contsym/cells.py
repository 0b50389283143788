"""Cells of CSV files that a spreadsheet shows as text, whatever they begin with.

A cell that begins with = + - @, a tab or a carriage return is a formula to spreadsheets, and a formula may fetch and
send. An apostrophe before it makes it text. Reading takes off what writing put on, so nothing is lost.
Source: OWASP, CSV Injection.
"""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def shield(text: str) -> str:
    """The text for a cell.

    >>> shield("=1+1"), shield("P26/Q1/Q2"), shield("'=1")
    ("'=1+1", 'P26/Q1/Q2', "''=1")
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unshield(cell: str) -> str:
    """The text that a cell was made of.

    >>> unshield("'=1+1"), unshield("'quoted'")
    ('=1+1', "'quoted'")
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
