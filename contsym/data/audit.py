"""What is wrong with a task's pairs before anything is trained: leaks, shortcuts, doubtful rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from contsym.data import shortcuts
from contsym.data.schema import LABELS, TaskData
from contsym.data.splits import PROMISES
from contsym.data.sql import one_row, open_engine
from contsym.data.wikidata.pairs import phrasing_of

if TYPE_CHECKING:
    from datasets import Dataset

    from contsym.data.sql import Connection


FEW_PAIRS = 10
"""A relation with fewer is listed: its accuracy is a matter of single pairs."""
N_EXAMPLES = 3
_BATCH = 1 << 16


@dataclass(frozen=True)
class Finding:
    """Rows that have something in common that a reader should know of."""

    what: str
    n_rows: int
    share: float
    """Of the rows that could have it."""
    examples: tuple[str, ...]
    promised: bool = False
    """The split rule rules it out; a count above 0 is then a broken promise."""


@dataclass(frozen=True)
class Overview:
    """What a run shows of a task before training, and keeps; `leaks` are shares of the test pairs."""

    task: str
    leaks: tuple[Finding, ...]
    shortcuts: dict[str, float]

    @property
    def best_shortcut(self) -> tuple[str, float]:
        return shortcuts.best(self.shortcuts)


@dataclass(frozen=True)
class Audit(Overview):
    """All that is found of one task."""

    source: str
    split: str | None
    rows: dict[str, int]
    n_trained_on: int
    """Training pairs that the shortcuts were given."""
    labels: dict[str, dict[str, int]]
    problems: tuple[Finding, ...]
    small_relations: dict[str, int]
    unchecked: tuple[str, ...]
    """What could not be looked at, and why."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def audit(data: TaskData, train: Dataset | None = None, tokenizer: Any = None, max_length: int = 0) -> Audit:
    """Look through both parts of a task; `train` is what a method is given, if not all.

    Rows over the encoder's length limit are found with its tokenizer, where one is given.
    """
    train = data.train if train is None else train
    with open_engine() as con:
        _load(con, data)
        problems = _problems(con, _is_relational(data))
        small = dict(
            con.execute(
                f"""SELECT relation, count(*) AS n FROM loaded WHERE relation <> '' GROUP BY relation
                HAVING n < {FEW_PAIRS} ORDER BY n, relation"""
            ).fetchall()
        )
        labels: dict[str, dict[str, int]] = {"train": {}, "test": {}}
        for is_test, label, n in con.execute(
            "SELECT is_test, label, count(*) FROM loaded GROUP BY ALL ORDER BY ALL"
        ).fetchall():
            labels["test" if is_test else "train"][LABELS[label]] = n
        unchecked = []
        if tokenizer is None:
            unchecked.append("rows over the encoder's length limit: no encoder was given or found")
        else:
            problems.append(_too_long(con, tokenizer, max_length))
    return Audit(
        task=data.name,
        source=data.source,
        split=data.split,
        rows=data.rows,
        n_trained_on=min(len(train), shortcuts.MAX_TRAIN),
        labels=labels,
        leaks=leaks(data),
        shortcuts=shortcuts.scores(train, data.test),
        problems=tuple(problem for problem in problems if problem.n_rows),
        small_relations=small,
        unchecked=tuple(unchecked),
    )


def leaks(data: TaskData) -> tuple[Finding, ...]:
    """What test pairs share with training pairs, kind by kind."""
    kinds = _kinds(_is_relational(data))
    promises = {what for what, _ in PROMISES.get(data.split or "", ())}  # type: ignore[call-overload]
    named = {"the same two entities": "pair of entities", "one of the entities": "entity",
             "the relation": "relation", "the phrasing": "phrasing"}  # fmt: skip
    with open_engine() as con:
        con.execute(f"CREATE TABLE test ({', '.join(f'{name} VARCHAR' for name in (*_SAID, 'phrasing'))})")
        for _ in _batches(con, data.test, _is_relational(data)):
            con.execute("INSERT INTO test SELECT * FROM batch")
        for i, (_, asked, _, has_it) in enumerate(kinds):
            con.execute(
                f"""CREATE TABLE asked_{i} AS SELECT row, {asked} AS key FROM
                (SELECT row_number() OVER () AS row, {_WITH_ENTITIES} FROM test) WHERE {has_it}"""
            )
            con.execute(f"CREATE TABLE given_{i} (key VARCHAR)")
        # Training pairs go by once and are not stored: what no test pair has is of no interest.
        for _ in _batches(con, data.train, _is_relational(data)):
            for i, (_, _, given, has_it) in enumerate(kinds):
                con.execute(
                    f"""INSERT INTO given_{i} SELECT DISTINCT key FROM
                    (SELECT {given} AS key FROM (SELECT {_WITH_ENTITIES} FROM batch) WHERE {has_it})
                    SEMI JOIN asked_{i} USING (key)"""
                )
        found = []
        for i, (what, *_) in enumerate(kinds):
            con.execute(
                f"""CREATE OR REPLACE TABLE shared AS SELECT row, min(key) AS key FROM asked_{i}
                SEMI JOIN given_{i} USING (key) GROUP BY row"""
            )
            (n_could,) = one_row(con, f"SELECT count(DISTINCT row) FROM asked_{i}")
            (n_rows,) = one_row(con, "SELECT count(*) FROM shared")
            found.append(
                Finding(
                    what,
                    n_rows,
                    n_rows / n_could if n_could else 0.0,
                    _examples(con, "SELECT key FROM shared GROUP BY key ORDER BY count(*) DESC, key"),
                    named.get(what) in promises,
                )
            )
    return tuple(found)


_SAID = ("premise", "hypothesis", "relation", "subject", "object")
_WITH_ENTITIES = (
    """*, least(lower(subject), lower(object)) AS a, greatest(lower(subject), lower(object)) AS b"""
)


def _kinds(is_relational: bool) -> list[tuple[str, str, str, str]]:
    """(what, key of a test row, key of a training row, which rows have it), as SQL."""
    text = "lower({}) || chr(31) || lower({})"
    forward, backward = text.format("premise", "hypothesis"), text.format("hypothesis", "premise")
    known = "subject <> '' AND object <> ''"
    pair = "a || chr(31) || b"
    kinds = [
        ("the same pair", forward, forward, "true"),
        ("the mirrored pair", forward, backward, "premise <> hypothesis"),
    ]
    if not is_relational:
        return [*kinds, ("the premise", "lower(premise)", "lower(premise)", "true")]
    return [
        *kinds,
        ("the same two entities", pair, pair, known),
        ("one of the entities", "unnest([a, b])", "unnest([a, b])", known),
        ("the relation", "relation", "relation", "relation <> ''"),
        ("the phrasing", "phrasing", "phrasing", "phrasing <> ''"),
    ]


def _is_relational(data: TaskData) -> bool:
    return any(data.test["relation"][:])


def _batches(con: Connection, part: Dataset, has_phrasings: bool) -> Iterator[None]:
    """The rows of a part, some at a time, each time as `batch(premise, hypothesis, relation, subject, object, phrasing)`."""
    import pyarrow as pa

    for rows in part.select_columns(list(_SAID)).with_format("arrow").iter(batch_size=_BATCH):
        phrasings = pa.nulls(len(rows), pa.string()).fill_null("")
        if has_phrasings:
            texts = zip(*(rows[name].to_pylist() for name in ("premise", "subject", "object")), strict=True)
            phrasings = pa.array([phrasing_of(p, s, o) if s and o else "" for p, s, o in texts], pa.string())
        con.register("batch", rows.select(list(_SAID)).append_column("phrasing", phrasings))
        yield
        con.unregister("batch")


def _load(con: Connection, data: TaskData) -> None:
    """loaded(is_test, id, premise, hypothesis, label, relation, subject, object)."""
    columns = ("id", "premise", "hypothesis", "label", "relation", "subject", "object")
    types = (f"{name} {'BIGINT' if name == 'label' else 'VARCHAR'}" for name in columns)
    con.execute(f"CREATE TABLE loaded (is_test BOOLEAN, {', '.join(types)})")
    for is_test, part in ((False, data.train), (True, data.test)):
        for rows in part.with_format("arrow").iter(batch_size=_BATCH):
            con.register("batch", rows)
            con.execute(f"INSERT INTO loaded SELECT {is_test}, {', '.join(columns)} FROM batch")
            con.unregister("batch")


def _problems(con: Connection, is_relational: bool) -> list[Finding]:
    (n_rows,) = one_row(con, "SELECT count(*) FROM loaded")
    found = []

    def look(what: str, condition: str, table: str = "loaded") -> None:
        (n,) = one_row(con, f"SELECT count(*) FROM {table} WHERE {condition}")
        examples = _examples(con, f"SELECT id FROM {table} WHERE {condition} ORDER BY id")
        found.append(Finding(what, n, n / n_rows, examples))

    def in_texts(condition: str) -> str:
        return " OR ".join(condition.format(name) for name in ("premise", "hypothesis"))

    look(
        "a replacement character (bytes were lost when the text was decoded)",
        in_texts("contains({}, chr(65533))"),
    )
    # UTF-8 read as Latin-1 or Windows-1252: the first byte of a two- or three-byte character,
    # and what the next one looks like.
    look(
        "UTF-8 that was decoded as something else",
        in_texts(r"regexp_matches({}, '[ÃÂ][\x{{80}}-\x{{BF}}]|â€')"),
    )
    look("a control character", in_texts(r"regexp_matches({}, '[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]')"))
    look("HTML left in the text", in_texts(r"regexp_matches({}, '&(amp|lt|gt|quot|#\d+);|<[a-z/][^>]*>')"))
    con.execute(
        """CREATE TABLE repeated AS SELECT min(id) AS id, is_test, count(*) AS n, count(DISTINCT label) AS n_labels
        FROM loaded GROUP BY is_test, premise, hypothesis HAVING n > 1"""
    )
    look("a pair that its part has more than once", "true", "repeated")
    look("a pair with different labels", "n_labels > 1", "repeated")
    look("a hypothesis that repeats its premise", "premise = hypothesis")
    if is_relational:
        found.append(_near_duplicates(con))
    return found


def _near_duplicates(con: Connection) -> Finding:
    """Entities whose names differ in case, accents, spaces or punctuation only."""
    con.execute(
        r"""CREATE TABLE near AS SELECT bare, list_sort(list(name)) AS names FROM
        (SELECT DISTINCT name, regexp_replace(strip_accents(lower(name)), '[^\p{L}\p{N}]+', '', 'g') AS bare FROM
          (SELECT unnest([subject, object]) AS name FROM loaded) WHERE name <> '')
        WHERE bare <> '' GROUP BY bare HAVING count(*) > 1"""
    )
    (n_names,) = one_row(
        con, "SELECT count(DISTINCT name) FROM (SELECT unnest([subject, object]) AS name FROM loaded)"
    )
    (n,) = one_row(con, "SELECT coalesce(sum(len(names)), 0)::BIGINT FROM near")
    examples = _examples(con, "SELECT array_to_string(names[1:2], ' / ') FROM near ORDER BY 1")
    return Finding("entities with nearly the same name", n, n / max(1, n_names), examples)


def _too_long(con: Connection, tokenizer: Any, max_length: int) -> Finding:
    # No tokenizer makes more tokens than bytes; only sentences that could be too long are cut up.
    rows = con.execute(
        f"""SELECT id, premise, hypothesis FROM loaded WHERE
        strlen(premise) + 2 > {max_length} OR strlen(hypothesis) + 2 > {max_length} ORDER BY id"""
    ).fetchall()
    # A premise may have several hypotheses.
    texts = list({text: None for _, *pair in rows for text in pair if len(text.encode()) + 2 > max_length})
    too_long: set[str] = set()
    for start in range(0, len(texts), _BATCH):
        some = texts[start : start + _BATCH]
        tokens = tokenizer(some)["input_ids"]
        too_long |= {text for text, ids in zip(some, tokens, strict=True) if len(ids) > max_length}
    ids = [row[0] for row in rows if not too_long.isdisjoint(row[1:])]
    (n_rows,) = one_row(con, "SELECT count(*) FROM loaded")
    return Finding(
        f"a sentence over the encoder's limit of {max_length} tokens (it is cut)",
        len(ids),
        len(ids) / n_rows,
        tuple(ids[:N_EXAMPLES]),
    )


def _examples(con: Connection, sql: str) -> tuple[str, ...]:
    rows: Sequence[tuple] = con.execute(f"{sql} LIMIT {N_EXAMPLES}").fetchall()
    return tuple(str(value).replace("\x1f", " | ") for (value,) in rows)
