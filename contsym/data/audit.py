"""What is wrong with a task's pairs before anything is trained: leaks, shortcuts, doubtful rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from contsym.data import shortcuts
from contsym.data.engine import one_row, open_engine
from contsym.data.schema import LABELS, TaskData
from contsym.data.splits import PROMISES
from contsym.data.wikidata import phrasing_of

if TYPE_CHECKING:
    from datasets import Dataset

    from contsym.data.engine import Connection

FEW_PAIRS = 10
"""A relation with fewer is listed: its accuracy is a matter of single pairs."""
N_EXAMPLES = 3
_BATCH = 4096


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
class Audit:
    """All that is found of one task; `leaks` are shares of the test pairs."""

    task: str
    source: str
    split: str | None
    rows: dict[str, int]
    n_trained_on: int
    """Training pairs that the shortcuts were given."""
    labels: dict[str, dict[str, int]]
    leaks: tuple[Finding, ...]
    shortcuts: dict[str, float]
    problems: tuple[Finding, ...]
    small_relations: dict[str, int]
    unchecked: tuple[str, ...]
    """What could not be looked at, and why."""

    @property
    def best_shortcut(self) -> tuple[str, float]:
        return shortcuts.best(self.shortcuts)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def audit(data: TaskData, train: Dataset | None = None, tokenizer: Any = None, max_length: int = 0) -> Audit:
    """Look through both parts of a task; `train` is what a method is given, if not all.

    Rows over the encoder's length limit are found with its tokenizer, where one is given.
    """
    train = data.train if train is None else train
    is_relational = any(data.test["relation"][:])
    with open_engine() as con:
        _load(con, data)
        leaks = _leaks(con, data, is_relational)
        problems = _problems(con, is_relational)
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
        leaks=tuple(leaks),
        shortcuts=shortcuts.scores(train, data.test),
        problems=tuple(problem for problem in problems if problem.n_rows),
        small_relations=small,
        unchecked=tuple(unchecked),
    )


def _load(con: Connection, data: TaskData) -> None:
    """loaded(is_test, id, premise, hypothesis, label, relation, subject, object, phrasing)."""
    import pyarrow as pa

    con.execute(
        """CREATE TABLE loaded (is_test BOOLEAN, id VARCHAR, premise VARCHAR, hypothesis VARCHAR, label BIGINT,
        relation VARCHAR, subject VARCHAR, object VARCHAR, phrasing VARCHAR)"""
    )
    columns = ("id", "premise", "hypothesis", "label", "relation", "subject", "object")
    for is_test, part in ((False, data.train), (True, data.test)):
        for batch in part.iter(batch_size=_BATCH):
            texts = zip(*(batch[name] for name in ("premise", "subject", "object")), strict=True)
            phrasings = [phrasing_of(p, s, o) if s and o else "" for p, s, o in texts]
            con.register(
                "batch",
                pa.table(
                    {
                        "is_test": [is_test] * len(phrasings),
                        **{name: batch[name] for name in columns},
                        "phrasing": phrasings,
                    }
                ),
            )
            con.execute("INSERT INTO loaded SELECT * FROM batch")
            con.unregister("batch")
    con.execute(
        """CREATE TABLE pairs AS SELECT row_number() OVER () AS row, *, least(lower(subject), lower(object)) AS a,
        greatest(lower(subject), lower(object)) AS b FROM loaded"""
    )


def _leaks(con: Connection, data: TaskData, is_relational: bool) -> list[Finding]:
    text = "lower({}) || chr(31) || lower({})"
    forward, backward = text.format("premise", "hypothesis"), text.format("hypothesis", "premise")
    known = "subject <> '' AND object <> ''"
    pair = "a || chr(31) || b"
    # (what, key of a test row, key of a training row, which rows have it).
    kinds = [
        ("the same pair", forward, forward, "true"),
        ("the mirrored pair", forward, backward, "premise <> hypothesis"),
    ]
    if is_relational:
        kinds += [
            ("the same two entities", pair, pair, known),
            ("one of the entities", "unnest([a, b])", "unnest([a, b])", known),
            ("the relation", "relation", "relation", "relation <> ''"),
            ("the phrasing", "phrasing", "phrasing", "phrasing <> ''"),
        ]
    else:
        kinds.append(("the premise", "lower(premise)", "lower(premise)", "true"))
    promises = {what for what, _ in PROMISES.get(data.split or "", ())}  # type: ignore[call-overload]
    named = {"the same two entities": "pair of entities", "one of the entities": "entity",
             "the relation": "relation", "the phrasing": "phrasing"}  # fmt: skip
    found = []
    for what, asked, given, has_it in kinds:
        con.execute(
            f"""CREATE OR REPLACE TABLE keys AS
            SELECT DISTINCT {given} AS key FROM pairs WHERE NOT is_test AND {has_it}"""
        )
        con.execute(
            f"""CREATE OR REPLACE TABLE shared AS SELECT row, any_value(key) AS key FROM
            (SELECT row, {asked} AS key FROM pairs WHERE is_test AND {has_it})
            SEMI JOIN keys USING (key) GROUP BY row"""
        )
        (n_could,) = one_row(con, f"SELECT count(*) FROM pairs WHERE is_test AND {has_it}")
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
    return found


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
    texts = [text for _, *pair in rows for text in pair]
    lengths = [len(ids) for ids in tokenizer(texts)["input_ids"]] if texts else []
    ids = [row[0] for i, row in enumerate(rows) if max(lengths[2 * i : 2 * i + 2]) > max_length]
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
