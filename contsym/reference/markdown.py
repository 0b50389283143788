"""Markdown of the reference pages: tables, and the passages of a page that are generated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from contsym.errors import ContsymError


def prose(text: str) -> str:
    r"""A sentence out of the code as one line of Markdown, also in a table: outside of backticks no sign is markup.

    >>> print(prose("|p - h|, counts[label] of\n `knn_fixed` and my_method"))
    \|p - h\|, counts\[label] of `knn_fixed` and my\_method
    """
    parts = re.split(r"(`[^`]+`)", " ".join(text.split()))
    return "".join(part if i % 2 else re.sub(r"([\[<*_|])", r"\\\1", part) for i, part in enumerate(parts))


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are Markdown already.

    >>> print(table(["name", "default"], [["`k`", "3"]]))
    | name | default |
    |---|---|
    | `k` | 3 |
    """
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(
        "|".join(("", *line, "")) if line[0] == "---" else f"| {' | '.join(line)} |" for line in lines
    )


def code(text: str) -> str:
    """A text in code type, as one cell of a table; a backslash would be shown there, so bars are left as they are.

    >>> code("pair"), code("")
    ('`pair`', '')
    """
    return f"`{' '.join(text.split())}`" if text else ""


def page(title: str, purpose: str, *parts: str) -> str:
    """A whole page, which begins with what its reader can do after it."""
    origin = "<!-- Written by contsym docs; change the code that it is made of. -->"
    return "\n\n".join((origin, f"# {title}", purpose, *parts)) + "\n"


def replace_passage(text: str, name: str, passage: str, where: str) -> str:
    """The text with another passage between `<!-- NAME -->` and `<!-- end of NAME -->`.

    Raises ContsymError where the text has no such place, or several.
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    found = re.findall(f"{re.escape(begin)}.*?{re.escape(end)}", text, re.DOTALL)
    if len(found) != 1:
        raise ContsymError(f"{where}: {len(found)} passages from {begin} to {end}; expected one")
    return text.replace(found[0], f"{begin}\n{passage}\n{end}")
