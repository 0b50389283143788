"""Problems of a task's pairs that show before training: leaks, shortcuts, doubtful rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from contsym.data import shortcuts
from contsym.data.schema import PARTS, Dataset, TaskData, alike
from contsym.data.splits import PROMISES
from contsym.data.sql import Connection, one_row, open_engine
from contsym.data.wikidata.pairs import phrasing_of

FEW_PAIRS = 10
"""Relations with fewer pairs are listed, since single pairs decide their accuracy."""
N_EXAMPLES = 3
_BATCH = 1 << 16


@dataclass(frozen=True)
class Finding:
    """Rows with a property that a reader should know of."""

    what: str
    n_rows: int
    share: float | None
    """Share of the rows that could have the property; None where the data lack what it is about."""
    examples: tuple[str, ...]
    promised: bool = False
    """Whether the split rule excludes it, so that a count above 0 is a broken promise."""


@dataclass(frozen=True)
class Overview:
    """Findings that a run shows before training and stores; `leaks` are shares of the test pairs."""

    task: str
    leaks: tuple[Finding, ...]
    shortcuts: dict[str, float]

    @property
    def best_shortcut(self) -> tuple[str, float]:
        return shortcuts.best(self.shortcuts)

    @property
    def not_looked_for(self) -> tuple[str, ...]:
        """What the data do not name, so that test and training may share it unseen."""
        return tuple(dict.fromkeys(_NEEDS[leak.what] for leak in self.leaks if leak.share is None))


@dataclass(frozen=True)
class Audit(Overview):
    source: str
    split: str | None
    rows: dict[str, int]
    n_trained_on: int
    """Number of training pairs of the shortcuts."""
    labels: dict[str, dict[str, int]]
    problems: tuple[Finding, ...]
    small_relations: dict[str, int]
    unchecked: tuple[str, ...]
    """Properties that could not be checked, and why."""


def audit(data: TaskData, train: Dataset | None = None, tokenizer: Any = None, max_length: int = 0) -> Audit:
    """Check all parts of a task; `train` holds the training pairs of the method, by default all.

    A tokenizer is needed to find the rows over the encoder's length limit.
    """
    train = data.train if train is None else train
    with open_engine() as con:
        _load(con, data)
        problems = _problems(con)
        sizes = con.execute(
            f"""SELECT relation, count(*) AS n FROM loaded WHERE relation <> '' GROUP BY relation
            HAVING n < {FEW_PAIRS} ORDER BY n, relation"""
        ).fetchall()
        sql = "SELECT part, label, count(*) FROM loaded GROUP BY ALL ORDER BY ALL"
        labels: dict[str, dict[str, int]] = {part: {} for part in PARTS}
        for part, label, n in con.execute(sql).fetchall():
            labels[part][data.labels[label]] = n
        if tokenizer is not None:
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
        small_relations=dict(sizes),
        unchecked=()
        if tokenizer is not None
        else ("rows over the encoder's length limit: no encoder is available",),
    )


def repeats(data: TaskData) -> list[str]:
    """In words, how many examples come more than once: within a part, with different labels, in training and test."""
    texts = {
        part: [[alike(text) for text in rows[name][:]] for name in ("premise", "hypothesis")]
        for part, rows in data.parts.items()
    }
    seen = {part: Counter(zip(*columns, strict=True)) for part, columns in texts.items()}
    lines = []
    for part, rows in data.parts.items():
        labelled = zip(*texts[part], rows["label"][:], strict=True)
        n_labels = Counter((premise, hypothesis) for premise, hypothesis, _ in set(labelled))
        repeated = sum(n > 1 for n in seen[part].values())
        contradicted = sum(n > 1 for n in n_labels.values())
        if repeated:
            but = f", {contradicted:,} of them with different labels" if contradicted else ""
            lines.append(f"{repeated:,} {data.spec.examples} are in the {part} part more than once{but}")
    if both := len(seen["test"].keys() & seen["train"].keys()):
        lines.append(f"{both:,} {data.spec.examples} are in the test part and in the train part")
    return lines


def leaks(data: TaskData) -> tuple[Finding, ...]:
    """The test pairs that share something with training pairs, kind by kind."""
    kinds = _kinds(data)
    promises = {what for what, _ in PROMISES.get(data.split or "", ())}  # type: ignore[call-overload]
    with open_engine() as con:
        con.execute(f"CREATE TABLE test ({', '.join(f'{name} VARCHAR' for name in (*_TEXTS, 'phrasing'))})")
        for _ in _batches(con, data.test):
            con.execute("INSERT INTO test SELECT * FROM batch")
        for i, kind in enumerate(kinds):
            con.execute(
                f"""CREATE TABLE test_{i} AS SELECT row, {kind.test_key} AS key FROM
                (SELECT row_number() OVER () AS row, {_WITH_ENTITIES} FROM test) WHERE {kind.condition}"""
            )
            con.execute(f"CREATE TABLE train_{i} (key VARCHAR)")
        # Of the training pairs only the keys that a test pair has are stored.
        for _ in _batches(con, data.train):
            for i, kind in enumerate(kinds):
                con.execute(
                    f"""INSERT INTO train_{i} SELECT DISTINCT key FROM
                    (SELECT {kind.train_key or kind.test_key} AS key FROM
                      (SELECT {_WITH_ENTITIES} FROM batch) WHERE {kind.condition})
                    SEMI JOIN test_{i} USING (key)"""
                )
        findings = []
        for i, kind in enumerate(kinds):
            con.execute(
                f"""CREATE OR REPLACE TABLE shared AS SELECT row, min(key) AS key FROM test_{i}
                SEMI JOIN train_{i} USING (key) GROUP BY row"""
            )
            (n_possible,) = one_row(con, f"SELECT count(DISTINCT row) FROM test_{i}")
            (n_rows,) = one_row(con, "SELECT count(*) FROM shared")
            examples = _examples(con, "SELECT key FROM shared GROUP BY key ORDER BY count(*) DESC, key")
            share = n_rows / n_possible if n_possible else None if kind.what in _NEEDS else 0.0
            findings.append(Finding(kind.what, n_rows, share, examples, kind.promise in promises))
    return tuple(findings)


_TEXTS = ("premise", "hypothesis", "relation", "subject", "object")
_WITH_ENTITIES = "*, least(subject, object) AS a, greatest(subject, object) AS b"


class _Kind(NamedTuple):
    """A property that a test pair may share with a training pair, in SQL."""

    what: str
    test_key: str
    condition: str = "true"
    """The rows that can have the property."""
    promise: str = ""
    """Its name in PROMISES."""
    train_key: str = ""
    """Default: the key of the test row."""


_PAIR, _MIRRORED = (
    f"{first} || chr(31) || {second}"
    for first, second in (("premise", "hypothesis"), ("hypothesis", "premise"))
)
_HAS_ENTITIES = "subject <> '' AND object <> ''"
_OF_PAIRS = (
    _Kind("the same pair", _PAIR),
    _Kind("the mirrored pair", _PAIR, "premise <> hypothesis", train_key=_MIRRORED),
)
_OF_PREMISES = _Kind("the premise", "premise")
_OF_RELATIONS = (
    _Kind("the same two entities", "a || chr(31) || b", _HAS_ENTITIES, "pair of entities"),
    _Kind("one of the entities", "unnest([a, b])", _HAS_ENTITIES, "entity"),
    _Kind("the relation", "relation", "relation <> ''", "relation"),
    _Kind("the phrasing", "phrasing", "phrasing <> ''", "phrasing"),
)
_OF_TEXTS = _Kind("the same text", "premise")
_NEEDS = {
    "the same two entities": "entities",
    "one of the entities": "entities",
    "the relation": "relation",
    "the phrasing": "entities",
}


def _kinds(data: TaskData) -> Sequence[_Kind]:
    if data.spec.inputs == "single":
        return [_OF_TEXTS]
    # A premise about a relation says no more than its entities and phrasing.
    premises = [] if any(data.test["relation"][:]) else [_OF_PREMISES]
    return [*_OF_PAIRS, *premises, *_OF_RELATIONS]


def _batches(con: Connection, part: Dataset) -> Iterator[None]:
    """Registers the rows of a part in batches as `batch(premise, hypothesis, relation, subject, object, phrasing)`, the
    texts and names as they are compared."""
    import pyarrow as pa

    for rows in part.select_columns(list(_TEXTS)).with_format("arrow").iter(batch_size=_BATCH):
        texts = zip(*(rows[name].to_pylist() for name in ("premise", "subject", "object")), strict=True)
        phrasings = pa.array([phrasing_of(p, s, o) if s and o else "" for p, s, o in texts], pa.string())
        columns = {
            name: rows[name]
            if name == "relation"
            else pa.array(map(alike, rows[name].to_pylist()), pa.string())
            for name in _TEXTS
        }
        con.register("batch", pa.table({**columns, "phrasing": phrasings}))
        yield
        con.unregister("batch")


def _load(con: Connection, data: TaskData) -> None:
    """Fill the table loaded(part, id, label, premise, hypothesis, relation, subject, object)."""
    columns = ("id", "label", *_TEXTS)
    types = (f"{name} {'BIGINT' if name == 'label' else 'VARCHAR'}" for name in columns)
    con.execute(f"CREATE TABLE loaded (part VARCHAR, {', '.join(types)})")
    for name, part in data.parts.items():
        for rows in part.with_format("arrow").iter(batch_size=_BATCH):
            con.register("batch", rows)
            con.execute(f"INSERT INTO loaded SELECT '{name}', {', '.join(columns)} FROM batch")
            con.unregister("batch")


def _problems(con: Connection) -> list[Finding]:
    (n_rows,) = one_row(con, "SELECT count(*) FROM loaded")
    findings = []

    def look(what: str, condition: str, table: str = "loaded") -> None:
        (n,) = one_row(con, f"SELECT count(*) FROM {table} WHERE {condition}")
        examples = _examples(con, f"SELECT id FROM {table} WHERE {condition} ORDER BY id")
        findings.append(Finding(what, n, n / n_rows, examples))

    def in_texts(condition: str) -> str:
        return " OR ".join(condition.format(name) for name in ("premise", "hypothesis"))

    look("a replacement character (decoding lost bytes)", in_texts("contains({}, chr(65533))"))
    # UTF-8 read as Latin-1 or Windows-1252 shows the first byte of a two- or three-byte character, and the next one.
    wrongly_decoded = r"regexp_matches({}, '[ÃÂ][\x{{80}}-\x{{BF}}]|â€')"
    look("UTF-8 that was decoded as another encoding", in_texts(wrongly_decoded))
    look("a control character", in_texts(r"regexp_matches({}, '[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]')"))
    look("HTML left in the text", in_texts(r"regexp_matches({}, '&(amp|lt|gt|quot|#\d+);|<[a-z/][^>]*>')"))
    con.execute(
        """CREATE TABLE repeated AS SELECT min(id) AS id, part, count(*) AS n, count(DISTINCT label) AS n_labels
        FROM loaded GROUP BY part, premise, hypothesis HAVING n > 1"""
    )
    look("an example that is in its part more than once", "true", "repeated")
    look("an example with different labels", "n_labels > 1", "repeated")
    look("a hypothesis that repeats its premise", "premise = hypothesis")
    findings.append(_near_duplicates(con))
    return findings


def _near_duplicates(con: Connection) -> Finding:
    """Entities whose names differ only in case, accents, spaces or punctuation."""
    con.execute(
        r"""CREATE TABLE near AS SELECT bare, list_sort(list(name)) AS names FROM
        (SELECT DISTINCT name, regexp_replace(strip_accents(lower(name)), '[^\p{L}\p{N}]+', '', 'g') AS bare FROM
          (SELECT unnest([subject, object]) AS name FROM loaded) WHERE name <> '')
        WHERE bare <> '' GROUP BY bare HAVING count(*) > 1"""
    )
    sql = "SELECT count(DISTINCT name) FROM (SELECT unnest([subject, object]) AS name FROM loaded)"
    (n_names,) = one_row(con, sql)
    (n,) = one_row(con, "SELECT coalesce(sum(len(names)), 0)::BIGINT FROM near")
    examples = _examples(con, "SELECT array_to_string(names[1:2], ' / ') FROM near ORDER BY 1")
    return Finding("entities with nearly the same name", n, n / max(1, n_names), examples)


def _too_long(con: Connection, tokenizer: Any, max_length: int) -> Finding:
    # No tokenizer makes more tokens than bytes, so only sentences with enough bytes are tokenized.
    rows = con.execute(
        f"""SELECT id, premise, hypothesis FROM loaded WHERE
        strlen(premise) + 2 > {max_length} OR strlen(hypothesis) + 2 > {max_length} ORDER BY id"""
    ).fetchall()
    # Each sentence once: a premise may have several hypotheses.
    texts = list({text: None for _, *pair in rows for text in pair if len(text.encode()) + 2 > max_length})
    too_long: set[str] = set()
    for start in range(0, len(texts), _BATCH):
        some = texts[start : start + _BATCH]
        tokens = tokenizer(some)["input_ids"]
        too_long |= {text for text, ids in zip(some, tokens, strict=True) if len(ids) > max_length}
    ids = [row[0] for row in rows if not too_long.isdisjoint(row[1:])]
    (n_rows,) = one_row(con, "SELECT count(*) FROM loaded")
    what = f"a sentence over the encoder's limit of {max_length} tokens (it is cut)"
    return Finding(what, len(ids), len(ids) / n_rows, tuple(ids[:N_EXAMPLES]))


def _examples(con: Connection, sql: str) -> tuple[str, ...]:
    rows: Sequence[tuple] = con.execute(f"{sql} LIMIT {N_EXAMPLES}").fetchall()
    return tuple(str(value).replace("\x1f", " | ") for (value,) in rows)
