"""What is said of rows that were left out, or read by a rule that the user may not expect."""

from __future__ import annotations

from collections.abc import Mapping

from contsym.data.class_names import as_number
from contsym.tasks.schema import Task

_LEFT_OUT = {
    "unread": ("pair is", "pairs are", "not of the form 'A r B', 'B r A'"),
    "unlabelled": ("row without an agreed label is", "rows without an agreed label are", "left out"),
}


def remarks_on(counts: Mapping[str, int]) -> list[str]:
    """What was counted while rows were read.

    >>> remarks_on({"unlabelled": 1}), remarks_on({"unlabelled": 1200})
    (['1 row without an agreed label is left out'], ['1,200 rows without an agreed label are left out'])
    """
    return [
        f"{n:,} {one if n == 1 else several} {what}"
        for name, (one, several, what) in _LEFT_OUT.items()
        if (n := counts.get(name, 0))
    ]


def remark_on_numbers(task: Task) -> str:
    numbers = [(n, name) for n, name in task.written.items() if as_number(n) is not None]
    order = ", ".join(f"{n} {name}" for n, name in numbers)
    return f"labels are numbers without names in the data; they are read as {order}"
