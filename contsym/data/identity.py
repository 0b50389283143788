"""What a row is known by: its own id if no other row has it, else its content; never where it was read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from contsym.data.schema import CONTENT_ID, content_id, own_id
from contsym.data.wikidata.pairs import DELEXICALISED_SUFFIX

if TYPE_CHECKING:
    from datasets import Dataset


Placed = tuple[str, dict[str, object]]


class Identities:
    """Gives each row of a part its id; `repeated` are the ids that more than one row would have.

    A row with such an id is told apart by its content, and by a number where that repeats too, so
    that neither the order of the file nor its place has a say in what a distinct row is called.
    """

    def __init__(self, repeated: Collection[str] = ()) -> None:
        self._repeated = frozenset(repeated)
        self._n_seen: Counter[str] = Counter()

    def of(self, rows: Iterable[Placed]) -> Iterator[Placed]:
        for where, row in rows:
            # A row without its sentences is refused, and what it has is told as it came.
            has_text = row.get("premise") and row.get("hypothesis")
            yield where, {**row, "id": self._id(row)} if has_text else row

    def _id(self, row: Mapping[str, object]) -> str:
        own = own_id(row)
        content = "" if own and own not in self._repeated else content_id(row)
        if (own or content) not in self._repeated:
            return own or content
        found = f"{own}#{content.removeprefix(CONTENT_ID)}" if own else content
        self._n_seen[found] += 1
        n = self._n_seen[found]
        return found if n == 1 else f"{found}#{n}"


def repeated_ids(parts: Sequence[Dataset]) -> dict[str, int]:
    """How often each id comes that more than one row of the parts has; the two forms of a pair share one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [part.with_format("arrow")[:]["id"] for part in parts]
    counts = pc.value_counts(
        pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string())
    )
    n_of = counts.field("counts")
    found: dict[str, int] = {}
    for each in counts.filter(pc.greater(n_of, 1)).to_pylist():
        pair = each["values"].removesuffix(DELEXICALISED_SUFFIX)
        found[pair] = max(found.get(pair, 0), each["counts"])
    return found


def remark_on_repeats(counts: Mapping[str, int]) -> str | None:
    """What a reader should know of ids that are none; exact repeats of rows without an id are no such."""
    own = {pair: n for pair, n in counts.items() if not pair.startswith(CONTENT_ID)}
    if not own:
        return None
    example = max(own, key=lambda pair: own[pair])
    return f"{sum(own.values()):,} rows share their id with others, as {example!r}; they are told apart by their content"
