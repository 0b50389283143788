"""The id of each row: its own if no other row has it, otherwise one made of its content, never of its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from contsym.data.schema import CONTENT_ID, Dataset, PlacedRow, content_id, row_id
from contsym.data.wikidata.pairs import DELEXICALISED_SUFFIX


class Identities:
    """Gives each row of a part its id; `repeated` holds the ids that several rows share.

    A row with a shared id gets the hash of its content appended, and a number if the content repeats too.
    So the id of a distinct row depends neither on the order of the file nor on its path.
    """

    def __init__(self, repeated: Collection[str] = ()) -> None:
        self._repeated = frozenset(repeated)
        self._n_seen: Counter[str] = Counter()

    def add_ids(self, rows: Iterable[PlacedRow]) -> Iterator[PlacedRow]:
        for where, row in rows:
            # A row without its sentences stays as it is: check_row refuses it later and lists its fields.
            has_text = row.get("text") or (row.get("premise") and row.get("hypothesis"))
            yield where, {**row, "id": self._id(row)} if has_text else row

    def _id(self, row: Mapping[str, object]) -> str:
        id_ = row_id(row)
        if id_ and id_ not in self._repeated:
            return id_
        content = content_id({**row, "premise": row["text"]} if row.get("text") else row)
        if not id_ and content not in self._repeated:
            return content
        unique = f"{id_}#{content.removeprefix(CONTENT_ID)}" if id_ else content
        self._n_seen[unique] += 1
        n = self._n_seen[unique]
        return unique if n == 1 else f"{unique}#{n}"


def repeated_ids(parts: Sequence[Dataset]) -> dict[str, int]:
    """Row count per id that several rows share; the two forms of a pair count as one id."""
    import pyarrow as pa
    import pyarrow.compute as pc

    chunks = [chunk for part in parts for chunk in part.with_format("arrow")[:]["id"].chunks]
    counts = pc.value_counts(pa.chunked_array(chunks, pa.string()))
    n_rows: dict[str, int] = {}
    for each in counts.filter(pc.greater(counts.field("counts"), 1)).to_pylist():
        pair = each["values"].removesuffix(DELEXICALISED_SUFFIX)
        n_rows[pair] = max(n_rows.get(pair, 0), each["counts"])
    return n_rows


def remark_on_repeats(counts: Mapping[str, int]) -> str | None:
    """A remark on ids of the data that are not unique; repeated rows without an id are not worth one."""
    shared = {pair: n for pair, n in counts.items() if not pair.startswith(CONTENT_ID)}
    if not shared:
        return None
    example = max(shared, key=lambda pair: shared[pair])
    return f"{sum(shared.values()):,} rows share their id with others, as {example!r}; their content tells them apart"
