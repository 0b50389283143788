"""Documents to read: whole ones of every format, and what is left of them after a few blows.

Random bytes stop at the first line of a parser. These begin whole, so that what is wrong with them is
met by the code behind it. Over 400 lines: a document of each format.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable

from hypothesis import strategies as st

from contsym.tasks.catalog import own_tasks
from contsym.tasks.schema import FIRST, NLI_LABELS

ODD_TEXTS = (
    *(
        "",
        " ",
        "\x00",
        "a\x00b",
        "\ufeff",
        "\u200b\u200d\u2060",
        "\u202eevil\u202c",
        "שלום עולם",
        "مرحبا",
        "👩‍👩‍👧‍👦🎉",
    ),
    *(
        "=1+1",
        "+1",
        "-1",
        "@x",
        "'quoted",
        '"',
        "\\",
        "\r",
        "\n",
        "a\tb",
        "a,b",
        "[red]x[/]",
        "[/]",
        "[link=x]",
    ),
    *(
        "<script>alert(1)</script>",
        "$(touch x)",
        "`id`",
        "; rm x",
        "../../x",
        "/etc/passwd",
        "%s{0}",
        "\x1b[31m",
    ),
    *("\ud800", "e\u0301", "ﬁ", "İ", "ß", "NaN", "null", "true", "1e999", "٣", "²", "Q42", "P26", "x" * 3000),
)
"""What breaks programs: empty, invisible, signs of other formats, control characters, half a surrogate pair."""

BLOWS = (
    *(
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\r",
        b"\r\n",
        b"\n",
        b"\n\n",
        b"\t",
        b",",
        b'"',
        b"'",
    ),
    *(
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b"=",
        b"#",
        b"-",
        b".",
        b"\x1b[2J",
        b"\\ud800",
        b"\\u0000",
        b"'''",
        b'"""',
    ),
    *(b"[" * 20_000, b'{"a":' * 20_000, b"9" * 5000, b"a." * 2000 + b"a=1", b"x" * 100_000, b"NaN", b"1e999"),
    *(
        b"Infinity",
        "٣".encode(),
        "²".encode(),
        "\u2028".encode(),
        b"null",
        b"true",
        b"-1",
        b"0",
        b"1e400",
        b"inf",
    ),
)
"""What is put into a document somewhere."""

texts = st.one_of(st.sampled_from(ODD_TEXTS), st.text(max_size=12))
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.integers(-2, 5), st.floats(), texts
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)


def _strike(document: bytes, blows: list[tuple[int, int, int, bytes]]) -> bytes:
    for kind, at, length, payload in blows:
        start = at % (len(document) + 1)
        end = min(len(document), start + length)
        if kind == 0:
            document = document[:start] + payload + document[start:]
        elif kind == 1:
            document = document[:start] + document[end:]
        elif kind == 2:
            document = document[:start] + payload + document[end:]
        elif kind == 3:
            document = document[:start]
        else:
            document = document[:end] + document[start:end] * 2 + document[end:]
    return document


_blow = st.tuples(st.integers(0, 4), st.integers(0, 1 << 14), st.integers(0, 40), st.sampled_from(BLOWS))


def struck(documents: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """The documents, most of them after up to three blows; now and then plain noise."""
    hit = st.builds(_strike, documents, st.lists(_blow, min_size=1, max_size=3))
    return _weighed([*[documents] * 4, *[hit] * 5, st.binary(max_size=200)])


def _weighed(among: list[st.SearchStrategy]) -> st.SearchStrategy:
    # one_of would take each of them once, however often it is given.
    return st.integers(0, len(among) - 1).flatmap(lambda i: among[i])


def mostly(whole: st.SearchStrategy, odd: st.SearchStrategy) -> st.SearchStrategy:
    """Now and then something odd: with more of it, hardly a document would come past its first line."""
    # In the middle: the first and the last number are drawn more often than others.
    return _weighed([*[whole] * 20, odd, *[whole] * 20])


def choice(*among: object, odd: st.SearchStrategy | None = None) -> st.SearchStrategy:
    return mostly(st.sampled_from(among), values if odd is None else odd)


words = choice("Spain", "borders", "a b", "Rome", "is in", "Q1", "Q2", "Q31", odd=texts)


def _dented(value, dents: list[tuple[list[int], int, object]]):
    """A JSON value with parts of it, found by going down by the numbers, taken out or put in the place of others."""
    for path, kind, other in dents:
        parent, key, here = None, None, value
        for number in path:
            if isinstance(here, dict) and here:
                parent, key = here, list(here)[number % len(here)]
            elif isinstance(here, list) and here:
                parent, key = here, number % len(here)
            else:
                break
            here = parent[key]
        if parent is None:
            continue
        if kind == 0:
            del parent[key]
        elif kind == 1:
            parent[key] = other
        elif isinstance(parent, dict):
            parent[str(other)[:20]] = parent[key]
        else:
            parent.append(other)
    return value


_dent = st.tuples(st.lists(st.integers(0, 60), min_size=1, max_size=5), st.integers(0, 2), values)


def dented_json(make: Callable[[], object], max_dents: int = 3) -> st.SearchStrategy[bytes]:
    """JSON of what `make` gives, with entries missing, strange or too many, and struck on top of that."""

    def dump(dents) -> bytes:
        return json.dumps(_dented(make(), dents)).encode()

    return struck(st.builds(dump, st.lists(_dent, max_size=max_dents)))


# ---- pairs ----

labels = choice(*NLI_LABELS, "-", odd=scalars)
_pair = st.fixed_dictionaries(
    {"premise": words, "hypothesis": words, "label": labels},
    optional={
        "id": choice("a", "b", 3, odd=scalars),
        "relation": choice("borders", "P47", odd=texts),
        "subject": words,
        "object": words,
        "extra": values,
    },
)
_odd_pair = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("premise", "hypothesis", "sentence1"), words),
        "label": labels,
        "gold_label": labels,
        "kind": choice("symmetric", "antisymmetric", "", odd=scalars),
        "relation": values,
    },
)


def _stated(a: str, r: str, b: str, label: object, says: bool) -> dict[str, object]:
    named = {"relation": r, "subject": a, "object": b} if says else {}
    return {"premise": f"{a} {r} {b}", "hypothesis": f"{b} {r} {a}", "label": label, **named}


_mirrored = st.builds(_stated, words, words, words, labels, st.booleans())
pair_lists = st.lists(
    _weighed([_pair, *[_mirrored] * 20, _odd_pair, *[_mirrored] * 20]), min_size=1, max_size=12
)


def lines_of_json(rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


jsonl = struck(pair_lists.map(lines_of_json))
_RELATIONS = (
    ("borders", NLI_LABELS[0]),
    ("is near", NLI_LABELS[0]),
    ("is in", NLI_LABELS[2]),
    ("was made by", NLI_LABELS[2]),
)


def _fact(relation: int, a: int, b: int) -> dict[str, object]:
    phrase, label = _RELATIONS[relation]
    return _stated(f"thing {a}", phrase, f"thing {b}", label, True)


_facts = st.lists(
    st.builds(_fact, st.integers(0, 3), st.integers(0, 30), st.integers(31, 60)), min_size=20, max_size=50
)
# Enough of them, and alike enough, for both parts of a split to have some.
many_jsonl = struck(_facts.map(lines_of_json))

_COLUMNS = ("id", "premise", "hypothesis", "label", "relation", "kind", "subject", "object")


def _delimited(rows, delimiter: str, header: tuple[str, ...]) -> bytes:
    lines = [delimiter.join(header)]
    lines += [delimiter.join(str(row.get(name, "")) for name in header) for row in rows]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _csv(rows, header: tuple[str, ...]) -> bytes:
    import csv

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([header, *([row.get(name, "") for name in header] for row in rows)])
    return out.getvalue().encode("utf-8", "surrogatepass")


_headers = st.sampled_from(
    (*[_COLUMNS, _COLUMNS[1:4]] * 4, ("premise", "hypothesis", "label", "label"), ("a",))
)
_multinli = st.just(("gold_label", "sentence1", "sentence2", "pairID"))


def _as_multinli(rows):
    return [
        {"gold_label": r.get("label"), "sentence1": r.get("premise"), "sentence2": r.get("hypothesis"), "pairID": i}
        for i, r in enumerate(rows)
    ]  # fmt: skip


tsv = struck(st.builds(lambda rows, h: _delimited(rows, "\t", h), pair_lists, _headers))
csv_pairs = struck(st.builds(_csv, pair_lists, _headers))
multinli = struck(st.builds(lambda rows, h: _delimited(_as_multinli(rows), "\t", h), pair_lists, _multinli))


def _parquet(rows, kind: int, compression: str) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def shown(value: object) -> object:
        text = None if value is None else str(value)
        return (
            text if text is None or text.isprintable() or kind else text.encode("utf-8", "replace").decode()
        )

    columns: dict[str, pa.Array] = {}
    for name in _COLUMNS:
        cells = [shown(row.get(name)) for row in rows]
        cells = [None if c is None else c.encode("utf-8", "replace") for c in cells]
        if name == "label" and kind == 2:
            columns[name] = pa.array(list(range(len(rows))), pa.int64())
        elif name == "premise" and kind == 3:
            columns[name] = pa.array([[c] for c in cells], pa.list_(pa.binary()))
        elif kind == 4:
            columns[name] = pa.array(cells, pa.binary()).dictionary_encode()
        elif kind == 5 and name == "hypothesis":
            columns[name] = pa.array([{"x": c} for c in cells], pa.struct([("x", pa.binary())]))
        else:
            columns[name] = pa.array([None if c is None else c.decode() for c in cells], pa.string())
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, compression=compression)
    return out.getvalue()


parquet = struck(
    st.builds(_parquet, pair_lists, st.integers(0, 5), st.sampled_from(("none", "snappy", "zstd", "gzip")))
)


# ---- triples, labels, the dump, the registry ----

_entities = choice("Q1", "Q2", "Q3", "Q31", "Rome", "Oslo", "L1-F2", odd=texts)
_properties = choice(
    *("P26", "P47", "P40", "P26", "P47", "P17", "P9999", "spouse", "http://www.wikidata.org/prop/direct/P26"),
    odd=texts,
)
_triples = st.lists(st.tuples(_entities, _properties, _entities), min_size=1, max_size=12)


def _joined(rows, delimiter: str) -> bytes:
    return "".join(delimiter.join(row) + "\n" for row in rows).encode("utf-8", "surrogatepass")


triples = struck(_triples.map(lambda rows: _joined(rows, "\t")))


def _sparql(rows, header: str) -> bytes:
    width = header.count(",") + 1
    return (header + "\n").encode() + _csv([dict(enumerate(r)) for r in rows], tuple(range(width))).partition(
        b"\n"
    )[2]  # type: ignore[arg-type]


sparql = struck(
    st.builds(
        _sparql,
        _triples,
        st.sampled_from(("item,prop,value", "s,p,o", "x,y", "item,itemLabel,value,prop", "item,item,value")),
    )
)
label_lines = struck(
    st.lists(st.lists(_entities, min_size=1, max_size=4), min_size=1, max_size=10).map(
        lambda r: _joined(r, "\t")
    )
)


def _entity(number: int) -> dict:
    value = {"value": {"entity-type": "item", "id": f"Q{number + 1}"}, "type": "wikibase-entityid"}
    snak = {"snaktype": "value", "property": "P26", "datavalue": value}
    return {
        "id": f"Q{number}",
        "labels": {"en": {"language": "en", "value": f"name {number}"}},
        "claims": {name: [{"mainsnak": snak, "rank": "normal"}] for name in ("P26", "P47", "P31")},
    }


def _dump(entries) -> bytes:
    lines = [json.dumps(_dented(_entity(i), dents)) for i, dents in enumerate(entries)]
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode()


dump = struck(st.lists(st.lists(_dent, max_size=2), min_size=1, max_size=5).map(_dump))


def _toml(value: object) -> str:
    """TOML of plain values: its strings are those of JSON, but for what JSON may escape and TOML may not."""
    if isinstance(value, str):
        return json.dumps(value.encode("utf-8", "replace").decode())
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_toml(str(k))} = {_toml(v)}' for k, v in value.items())}}}"
    return "''" if value is None else str(value)


_phrasing = st.builds(
    lambda verb, x_first: f"[X] {verb} [Y]" if x_first else f"[Y] {verb} [X]",
    choice("borders", "is near", "and", "[Z]", "[X]", "", odd=texts), st.booleans(),
)  # fmt: skip
_phrasings = st.lists(mostly(_phrasing, texts), min_size=1, max_size=2)


def _registry(version: object, entries, refused) -> bytes:
    parts = [f"registry_version = {_toml(version)}"]
    for key, entry in entries:
        parts += [f"[relations.{key}]", *(f"{name} = {_toml(v)}" for name, v in entry.items())]
    for key in refused:
        parts += [f"[refused.{key}]", 'name = "country"', 'reason = "of its own"']
    return "\n".join(parts).encode()


_keys = st.sampled_from((*[f"P{n}" for n in range(20, 50)], "Q5", "P", '"a b"', "P26.x"))
_relation = st.fixed_dictionaries(
    {
        "name": choice("spouse", "child"),
        "kind": choice("symmetric", "antisymmetric"),
        "kind_source": choice("said so"),
        "phrasings": mostly(_phrasings, values),
    },
    optional={
        "domain": choice("person", "place"),
        "family": choice("kin", "any"),
        "evidence": choice("seen"),
    },
)
relations = struck(
    st.builds(
        _registry,
        choice(1, odd=scalars),
        st.lists(st.tuples(_keys, _relation), max_size=4),
        st.lists(_keys, max_size=2),
    )
)

# ---- scenarios and sweeps ----

_WHOLE = {
    "name": choice("a", "a-1", "b", "c", "d"),
    "label_noise": choice(0.1, 0),
    "storing_only": choice(True, False),
    "tested_only": choice(True, False),
}
_OF_RELATIONS = {
    "form": choice("lexicalised", "delexicalised"),
    "split": choice("pair", "relation"),
    "relations": choice(["P26"], ["P26", "P47"]),
}
_DIVIDED = {"by": choice("relation", "pair"), "test": choice("own", "all"), "labels": choice(["neutral"])}
_ANY = {
    **_WHOLE,
    **_OF_RELATIONS,
    **_DIVIDED,
    "part": choice("1 of 2", "9 of 2", "1 of " + "9" * 5000),
    "parts": choice(2, 3),
    "other": values,
}


def _experiences(tasks: tuple[str, ...], optional: dict, **needed: st.SearchStrategy) -> st.SearchStrategy:
    return st.fixed_dictionaries({"task": choice(*tasks), **needed}, optional=optional)


_relational = tuple(name for name, task in own_tasks().items() if task.symmetry)
_experience = _weighed(
    [
        _experiences(tuple(FIRST), _WHOLE),
        _experiences(_relational, {**_WHOLE, **_OF_RELATIONS}),
        _experiences(_relational, {**_WHOLE, **_DIVIDED}, parts=choice(2, 3, 5)),
        _experiences(_relational, {**_WHOLE, **_DIVIDED}, part=choice("1 of 2", "2 of 5")),
        _experiences(tuple(FIRST), _ANY),
        _experiences(tuple(FIRST), _WHOLE),
    ]
)


def _scenario(summary: object, all_orders: object, experiences) -> bytes:
    parts = [f"summary = {_toml(summary)}"]
    parts += [f"all_orders = {_toml(all_orders)}"] if all_orders is not None else []
    for entry in experiences:
        parts += ["[[experience]]", *(f"{name} = {_toml(v)}" for name, v in entry.items())]
    return "\n".join(parts).encode()


scenario = struck(
    st.builds(
        _scenario,
        choice("a sequence"),
        choice(None, None, True, False),
        st.lists(_experience, min_size=1, max_size=3),
    )
)

_sweep_entries = st.fixed_dictionaries(
    {
        "strategies": choice(["knn_fixed"]),
        "scenario": choice("mnli_then_wikidata"),
        "shots": choice([8, 16], [8, "least"]),
    },
    optional={
        "seeds": choice(3, [0, 1]),
        "set": choice({"k": [1, 3]}),
        "protocol": choice("sequential", "retrain"),
        "pretrain": choice({"steps": 3}),
        "form": choice("lexicalised", "both"),
        "draw": choice("balanced", "natural"),
        "split": choice("pair", "entity"),
        "encoder": choice("minilm"),
        "device": choice("auto", "cpu"),
        "precision": choice("auto", "fp32"),
        "target": choice(0.9, 1.0, odd=st.floats()),
        "until": choice(0.9, 1.0, odd=st.floats()),
        "step": choice(8, odd=st.integers()),
        "one_pass": choice(True),
        "label_noise": choice(0.1, odd=st.floats()),
        "curve": choice(True),
        "relearn": choice(True),
        "audit": choice(False),
        "plugins": choice([]),
        "mnli": choice("bundled"),
        "wikidata": choice("bundled"),
        "mnli-size": choice(100, odd=st.integers()),
    },
)
_odd_entries = st.dictionaries(st.sampled_from(("other", "snli", "anli-size", "k")), values, max_size=1)


def _sweep_lines(found: dict[str, object]) -> bytes:
    return "\n".join(f"{name} = {_toml(value)}" for name, value in found.items()).encode()


sweep_file = struck(
    st.builds(
        lambda known, odd: _sweep_lines({**known, **odd}), _sweep_entries, mostly(st.just({}), _odd_entries)
    )
)
