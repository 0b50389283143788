"""Triples in every format, and every way in which an input can be wrong.

Over 400 lines: formats and mistakes are tables.
"""

import bz2
import gzip
import json
import lzma
import re
from importlib import resources

import pytest

from contsym.data import text_files
from contsym.data.wikidata.relations import parse
from contsym.errors import ContsymError, DataError, SettingError
from tests.data.built import built, couples, triples_file

FACTS = [*couples(30), *couples(30, "P40", "child")]
LINES = "".join("\t".join(t) + "\n" for t in FACTS)
N = len(FACTS)


def names_in(made):
    return {row["subject"] for row in made["rows"]} | {row["object"] for row in made["rows"]}


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture(scope="module")
def files_of_facts(tmp_path_factory):
    """Names and hashes of what is built of FACTS as they come."""
    return built(tmp_path_factory.mktemp("facts"), FACTS)["files"]


@pytest.fixture(scope="module")
def files_of_a_dump(tmp_path_factory):
    """The same of a dump of twenty couples in its usual layout."""
    folder = tmp_path_factory.mktemp("dump")
    return built(folder, write(folder / "plain.json", lined(mutual(20))))["files"]


# -- formats --


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("t.tsv", bytes),
        ("t.txt", bytes),
        ("t.tsv.gz", gzip.compress),
        ("t.tsv.bz2", bz2.compress),
        ("t.txt.xz", lzma.compress),
        ("t.tsv", lambda raw: b"\xef\xbb\xbf" + raw),
        ("t.tsv", lambda raw: raw.replace(b"\n", b"\r\n")),
        ("t.tsv", lambda raw: raw.replace(b"\n", b"\r\n", 20)),
        ("t.tsv.gz", lambda raw: gzip.compress(raw[:300] + raw[300:].replace(b"\n", b"\r\n"), mtime=0)),
        ("t.tsv", lambda raw: raw.rstrip(b"\n")),
        ("t.tsv", lambda raw: raw.replace(b"P26", b"http://www.wikidata.org/prop/direct/P26")),
        ("t.tsv", lambda raw: raw.replace(b"P26", b"spouse")),
    ],
    ids=[
        "tsv",
        "txt",
        "gz",
        "bz2",
        "xz",
        "bom",
        "crlf",
        "crlf-then-lf",
        "lf-then-crlf-gz",
        "no-last-newline",
        "uri",
        "english-name",
    ],
)
def test_the_same_triples_in_another_file_give_the_same_pairs(name, pack, files_of_facts, tmp_path):
    made = built(tmp_path, write(tmp_path / name, pack(LINES.encode())))
    assert made["files"] == files_of_facts
    assert made["inputs"]["triples"]["lines"] == N
    assert made["inputs"]["triples"]["bad_lines"] == 0


def test_a_copy_with_one_line_end_is_the_same_wherever_a_chunk_ends(tmp_path, monkeypatch):
    """A CR LF across two chunks is one line end; a CR alone does not end a line."""
    raw = b"a\r\nb\rc\n\r\nd\r"
    path = write(tmp_path / "t.tsv", raw)
    for size in range(1, len(raw) + 1):
        chunks = [raw[i : i + size] for i in range(0, len(raw), size)]
        monkeypatch.setattr(text_files, "chunks", lambda _, chunks=chunks: iter(chunks))
        assert text_files.with_one_line_end(path, tmp_path).read_bytes() == b"a\nb c\n\nd"


def test_labels_whose_line_ends_differ_keep_their_order(tmp_path):
    facts = [(f"Q{2 * i}", "P26", f"Q{2 * i + 1}") for i in range(1, 30)]
    labels = "".join(f"Q{i}\tName {i}" + ("\r\n" if i % 3 else "\n") for i in range(2, 60)) + "Q2\tAnother\n"
    made = built(tmp_path, facts, labels=write(tmp_path / "l.txt", labels))
    assert names_in(made) == {f"Name {i}" for i in range(2, 60)}
    assert made["inputs"]["labels"]["lines"] == 59


def test_names_keep_their_quotes_commas_and_letters(tmp_path):
    odd = ['"Weird Al" Yankovic', "O'Brien, Pat", "Łódź", "北京", "a\\tb", "NULL", "-", "[X]"]
    facts = [(name, "P26", f"{name} the other") for name in odd]
    assert names_in(built(tmp_path, [*facts, *FACTS])) >= set(odd)


def test_ids_with_labels(tmp_path):
    facts = [(f"Q{2 * i}", "P26", f"Q{2 * i + 1}") for i in range(1, 30)]
    labels = "".join(f"Q{i}\tName {i}\talias {i}\tother\n" for i in range(2, 60))
    made = built(tmp_path, facts, labels=write(tmp_path / "l.txt", labels))
    assert names_in(made) == {f"Name {i}" for i in range(2, 60)}
    row = made["rows"][0]
    assert row["subject_id"] in row["delexicalised_premise"]
    assert row["subject_id"].replace("Q", "Name ") == row["subject"]


def test_a_sparql_result_brings_its_labels(tmp_path):
    uri = "http://www.wikidata.org/entity/Q"
    rows = "".join(f'{uri}{i},{uri}{i + 100},one {i},"two, {i}"\r\n' for i in range(1, 40))
    path = write(tmp_path / "query.csv", "item,value,itemLabel,valueLabel\r\n" + rows)
    made = built(tmp_path, path, sole_property="P26")
    assert names_in(made) == {f"one {i}" for i in range(1, 40)} | {f"two, {i}" for i in range(1, 40)}
    assert made["inputs"]["triples"]["format"] == "sparql"


def test_a_property_given_beside_a_column_for_it_is_refused(tmp_path):
    path = write(tmp_path / "q.csv", "item,property,value\r\na,P40,b\r\n")
    with pytest.raises(SettingError, match=r"--property P26: q\.csv has a column for it, property; leave"):
        built(tmp_path, path, sole_property="P26")


def entity(i, spouse, **more):
    snak = {"snaktype": "value", "datavalue": {"value": {"id": f"Q{spouse}"}, "type": "wikibase-entityid"}}
    claims = {"P26": [{"mainsnak": snak, "rank": "normal"}], "P1082": [{"mainsnak": {"snaktype": "novalue"}}]}
    return {"id": f"Q{i}", "labels": {"en": {"value": f"person {i}"}}, "claims": claims, **more}


@pytest.mark.parametrize("pack", [bytes, bz2.compress, gzip.compress], ids=["json", "bz2", "gz"])
def test_a_wikidata_dump(pack, tmp_path):
    entities = [entity(i, i + 50) for i in range(1, 51)] + [entity(i + 50, i) for i in range(1, 51)]
    text = "[\n" + ",\n".join(map(json.dumps, entities)) + "\n]\n"
    suffix = {bytes: "", bz2.compress: ".bz2", gzip.compress: ".gz"}[pack]
    made = built(tmp_path, write(tmp_path / f"dump.json{suffix}", pack(text.encode())))
    assert len(made["rows"]) == 50
    assert made["relations"]["P26"]["mirrored_share"] == 1.0
    assert names_in(made) == {f"person {i}" for i in range(1, 101)}


def test_a_dump_without_deprecated_and_unknown_values(tmp_path):
    gone = entity(90, 91)
    gone["claims"]["P26"][0]["rank"] = "deprecated"
    unknown = entity(92, 93)
    unknown["claims"]["P26"][0]["mainsnak"] = {"snaktype": "somevalue"}
    good = [entity(i, i + 30) for i in range(1, 31)] + [entity(i + 30, i) for i in range(1, 31)]
    text = "[\n" + ",\n".join(map(json.dumps, [gone, unknown, *good])) + "\n]"
    assert len(built(tmp_path, write(tmp_path / "d.json", text))["rows"]) == 30


def lined(entities):
    return "[\n" + ",\n".join(map(json.dumps, entities)) + "\n]\n"


def mutual(n):
    return [entity(i, i + n) for i in range(1, n + 1)] + [entity(i + n, i) for i in range(1, n + 1)]


def test_empty_maps_of_a_dump_may_be_arrays(tmp_path):
    """PHP writes an empty map as []; such an item is an id without a label."""
    entities = mutual(30)
    for key in ("descriptions", "aliases", "sitelinks"):
        entities[0][key] = []
    entities[1]["labels"] = []
    entities += [{"id": "Q900", "labels": [], "claims": []}, {"id": "Q901"}]
    made = built(tmp_path, write(tmp_path / "dump.json", lined(entities)))
    assert made["inputs"]["triples"]["bad_lines"] == 0
    assert len(made["rows"]) == 29
    assert "1 of 60 ids have no label, as Q2; their triples are left out" in made["warnings"]


@pytest.mark.parametrize("kind", ["item", "property"])
def test_values_of_a_dump_may_have_a_number_for_an_id(kind, tmp_path):
    entities = mutual(30)
    letter = kind[0].upper().replace("I", "Q")
    for each in entities:
        each["id"] = each["id"].replace("Q", letter)
        value = each["claims"]["P26"][0]["mainsnak"]["datavalue"]["value"]
        value |= {"entity-type": kind, "numeric-id": int(value.pop("id")[1:])}
    made = built(tmp_path, write(tmp_path / "dump.json", lined(entities)))
    assert made["inputs"]["triples"]["bad_lines"] == 0
    assert made["relations"]["P26"]["mirrored_share"] == 1.0
    assert {row["subject_id"][0] for row in made["rows"]} == {letter}


LAYOUTS = {
    "entity data": lambda found: json.dumps({"entities": {each["id"]: each for each in found}}),
    "entity data, spread": lambda found: json.dumps(
        {"entities": {each["id"]: each for each in found}}, indent=2
    ),
    "a list of entities": lambda found: json.dumps({"entities": found}),
    "an array on one line": json.dumps,
    "an array, spread": lambda found: json.dumps(found, indent=1),
    "brackets beside entities": lambda found: "[" + ",\n".join(map(json.dumps, found)) + "]",
    "commas before entities": lambda found: "\n,".join(map(json.dumps, found)),
    "entities, spread": lambda found: "\n".join(json.dumps(each, indent=4) for each in found),
}


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("name", ["dump.json", "dump.txt.gz"])
def test_entities_of_any_layout_are_those_of_a_dump(layout, name, files_of_a_dump, tmp_path):
    raw = LAYOUTS[layout](mutual(20)).encode()
    path = write(tmp_path / name, gzip.compress(raw, mtime=0) if name.endswith(".gz") else raw)
    made = built(tmp_path, path)
    assert made["files"] == files_of_a_dump
    assert made["inputs"]["triples"]["bad_lines"] == 0


def test_a_redirect_keeps_the_name_that_others_use_for_it(tmp_path):
    """Special:EntityData returns the target of a redirect under the requested id, which other entities may still use."""
    entities = {each["id"]: each for each in mutual(20)}
    entities["Q1"] = {**entities["Q1"], "id": "Q777"}
    made = built(tmp_path, write(tmp_path / "Q1.json", json.dumps({"entities": entities})))
    assert "person 1" in names_in(made)
    assert made["warnings"] == []


def test_a_name_that_all_languages_share(tmp_path):
    entities = [{**each, "labels": {"mul": each["labels"]["en"]}} for each in mutual(20)]
    made = built(tmp_path, write(tmp_path / "d.json", lined(entities)))
    assert names_in(made) == {f"person {i}" for i in range(1, 41)}


def test_lines_of_a_dump_that_are_no_json_are_counted_and_named(tmp_path):
    lines = lined(mutual(30)).splitlines(keepends=True)
    path = write(tmp_path / "d.json", "".join([*lines[:5], '{"id": "Q5", "lab\n', *lines[5:]]))
    made = built(tmp_path, path, max_bad=0.05)
    assert (made["inputs"]["triples"]["bad_lines"], len(made["rows"])) == (1, 30)
    assert made["inputs"]["triples"]["first_bad"].startswith(
        f"{path}:6: not an entity of a Wikidata dump (not JSON: Unterminated string starting at); expected one"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"head": {"vars": ["a"]},\n"results": {"bindings": []}}',
            "a SPARQL result as JSON; expected CSV (.csv), or a dump of entities",
        ),
        (
            '[{"item": "http://www.wikidata.org/entity/Q1", "itemLabel": "one"}]',
            "rows of texts, as of a SPARQL result as JSON; expected CSV (.csv), or a dump",
        ),
    ],
)
def test_a_sparql_result_as_json_is_one_line(text, message, tmp_path):
    path = write(tmp_path / "query.json", text)
    with pytest.raises(DataError) as caught:
        built(tmp_path, path)
    assert str(caught.value) == f"{path}:1: {message}"


def test_shorter_exports_than_the_dump_are_named_without_words_of_python(tmp_path):
    simple = {"id": "Q1", "labels": {"en": "one"}, "claims": {"P26": ["Q2"]}}
    for labels, problem in (
        ({"en": "one"}, "en is a str"),
        ({}, "a statement of P26 is a str"),
    ):
        path = write(tmp_path / "d.json", json.dumps({**simple, "labels": labels}))
        with pytest.raises(DataError, match=f"not an entity of a Wikidata dump \\({problem}"):
            built(tmp_path, path)


# -- results of queries --

ENTITY, GENID = "http://www.wikidata.org/entity/", "http://www.wikidata.org/.well-known/genid/"


def query_rows(n=20):
    """(item, its label, value, its label) for n couples."""
    return [(f"{ENTITY}Q{i}", f"one {i}", f"{ENTITY}Q{i + 100}", f"two {i}") for i in range(1, n + 1)]


def query_csv(folder, rows, name="query.csv"):
    folder.mkdir(exist_ok=True)
    lines = ["item,itemLabel,value,valueLabel", *(",".join(row) for row in rows)]
    return write(folder / name, "\r\n".join(lines) + "\r\n")


@pytest.mark.parametrize("verbose", [False, True])
def test_a_query_saved_with_tabs_gives_the_pairs_of_the_one_with_commas(verbose, tmp_path):
    sign = "?" if verbose else ""
    cells = [
        [f"<{a}>", f'"{b}"@en', f"<{c}>", f'"{d}"@en'] if verbose else [a, b, c, d]
        for a, b, c, d in query_rows()
    ]
    header = [sign + name for name in ("item", "itemLabel", "value", "valueLabel")]
    tabs = write(tmp_path / "query.tsv", "".join("\t".join(row) + "\n" for row in [header, *cells]))
    commas = query_csv(tmp_path / "commas", query_rows())
    made = built(tmp_path, tabs, sole_property="P26")
    expected = built(tmp_path / "commas", commas, sole_property="P26")
    assert names_in(made) == {name for row in query_rows() for name in row[1::2]}
    assert made["files"] == expected["files"]
    assert made["inputs"]["triples"]["lines"] == 20


@pytest.mark.parametrize("value", [f"{GENID}0ab1", "_:b0", "t1234", f"{ENTITY}statement/Q1-0aB1"])
def test_blank_nodes_and_statements_of_a_query_are_no_people(value, tmp_path):
    unknown = [(f"{ENTITY}Q{i}", f"one {i}", value, value) for i in range(1, 4)]
    made = built(tmp_path, query_csv(tmp_path, query_rows() + unknown), sole_property="P26")
    assert names_in(made) == {name for row in query_rows() for name in row[1::2]}
    assert made["left_out"] == {"triples with a blank node or a statement for an entity": 3}


def test_blank_nodes_among_triples_are_no_names(tmp_path):
    triples = [(f"Q{i}", "P26", f"Q{i + 100}") for i in range(1, 21)]
    titles = "".join(f'{ENTITY}{q}\t"the \\"{q}\\""@en-gb\n' for t in triples for q in t[::2])
    labels = write(tmp_path / "l.tsv", titles)
    made = built(tmp_path, [*triples, ("Q1", "P26", "_:b7")], labels=labels)
    assert names_in(made) == {f'the "{q}"' for t in triples for q in t[::2]}
    assert made["left_out"] == {"triples with a blank node or a statement for an entity": 1}


def test_addresses_of_another_graph_are_ids_and_no_names(tmp_path):
    resource = "http://dbpedia.org/resource/"
    rows = [(f"{resource}A{i}", f"one {i}", f"{resource}B{i}", f"two {i}") for i in range(20)]
    made = built(tmp_path, query_csv(tmp_path, rows), sole_property="P26")
    assert names_in(made) == {name for row in rows for name in row[1::2]}
    bare = [(a, "", b, "") for a, _, b, _ in rows]
    with pytest.raises(
        DataError, match=f"the entities are ids, as {resource}A0, and they have no labels; give --labels"
    ):
        built(tmp_path / "bare", query_csv(tmp_path / "bare", bare), sole_property="P26")


def test_ids_of_which_too_few_have_a_label_are_told_where_labels_come_from(tmp_path):
    path = write(tmp_path / "Q1.json", json.dumps({"entities": {"Q1": entity(1, 2)}}))
    with pytest.raises(DataError) as caught:
        built(tmp_path, path)
    assert str(caught.value) == (
        f"{path}: no triple is left to build from (1 triples with an unlabelled id); give --labels FILE, or --form "
        "delexicalised"
    )


# -- labels of ids that are not Wikidata's --

FREEBASE = [(f"/m/0x{2 * i:03}", "P26", f"/m/0x{2 * i + 1:03}") for i in range(30)]


def titles(n, first="/m/0x"):
    return "".join(f"{first}{i:03}\tTown {i}\n" for i in range(n))


def test_ids_of_another_graph_are_named_by_their_labels(tmp_path):
    made = built(tmp_path, FREEBASE, labels=write(tmp_path / "entity2text.txt", titles(60)))
    assert names_in(made) == {f"Town {i}" for i in range(60)}
    assert {row["subject_id"][:5] for row in made["rows"]} == {"/m/0x"}
    assert not any("/m/" in row["premise"] + row["hypothesis"] for row in made["rows"])


def test_ids_of_another_graph_without_a_label_are_no_names(tmp_path):
    made = built(tmp_path, FREEBASE, labels=write(tmp_path / "l.txt", titles(58)))
    assert names_in(made) == {f"Town {i}" for i in range(58)}
    assert "2 of 60 ids have no label, as /m/0x058; their triples are left out" in made["warnings"]


@pytest.mark.parametrize(("first", "n", "named"), [("/g/", 60, "none"), ("/m/0x", 6, "6")])
def test_labels_that_name_little_or_nothing_are_a_warning(first, n, named, tmp_path):
    made = built(tmp_path, FREEBASE, labels=write(tmp_path / "l.txt", titles(n, first)))
    example = FREEBASE[0 if named == "none" else 3][0]
    assert (
        f"l.txt names {named} of 60 entities that are not Wikidata ids; those without a label, as {example}, "
        "are read as names"
    ) in made["warnings"]


def test_a_title_replaces_the_label_of_the_dump(tmp_path):
    """With both, each entity would have two names, and each triple would be there four times."""
    path = write(tmp_path / "dump.json", lined(mutual(20)))
    titles = "".join(f"Q{i}\tTown {i}\n" for i in range(1, 6))
    made = built(tmp_path, path, labels=write(tmp_path / "l.txt", titles))
    assert made["relations"]["P26"]["triples"] == 40
    assert names_in(made) == {f"Town {i}" for i in range(1, 6)} | {f"person {i}" for i in range(6, 41)}


def test_titles_of_other_entities_than_the_dumps_are_a_warning(tmp_path):
    path = write(tmp_path / "dump.json", lined(mutual(20)))
    made = built(tmp_path, path, labels=write(tmp_path / "l.txt", "Q999\tNobody\n"))
    assert "l.txt names none of the entities; their labels are those of dump.json" in made["warnings"]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["dump.json", "t.tsv", "l.txt"])
def test_a_packed_file_that_its_name_does_not_show_is_one_line(name, pack, tmp_path):
    content = {"dump.json": lined(mutual(20)), "t.tsv": LINES, "l.txt": titles(60)}[name]
    path = write(tmp_path / name, pack(content.encode()))
    given = {"triples": FREEBASE, "labels": path} if name == "l.txt" else {"triples": path}
    with pytest.raises(DataError, match=rf"{name}: a packed file .*unpack it"):
        built(tmp_path, **given)


def test_labels_by_the_address_of_an_entity(tmp_path):
    facts = [(f"<http://www.wikidata.org/entity/Q{2 * i}>", "P26", f"Q{2 * i + 1}") for i in range(1, 30)]
    labels = "".join(f"http://www.wikidata.org/entity/Q{i}\tName {i}\n" for i in range(2, 60))
    made = built(tmp_path, facts, labels=write(tmp_path / "l.txt", labels))
    assert names_in(made) == {f"Name {i}" for i in range(2, 60)}


def test_a_key_that_could_be_a_name_is_not_in_delexicalised_sentences(tmp_path):
    facts = [(f"town {i}", "P26", f"place {i}") for i in range(30)]
    labels = "".join(f"{s}\tthe {s}\n{o}\tthe {o}\n" for s, _, o in facts)
    rows = built(tmp_path, facts, labels=write(tmp_path / "l.txt", labels))["rows"]
    assert all(row["subject"].startswith("the ") for row in rows)
    assert all(row["delexicalised_premise"].count("ent-") == 2 for row in rows)


# -- what is normal in real data is counted and reported --


def test_what_was_left_out_is_counted(tmp_path):
    facts = [
        *FACTS,
        *FACTS[:4],
        ("self", "P26", "self"),
        ("Anna", "P26", "anna"),
        ("a", "P9999", "b"),
        ("a", "P737", "b"),
    ]
    made = built(tmp_path, facts)
    assert made["left_out"] == {
        "triples of an entity with itself": 1,
        "triples of two entities with the same name": 1,
        "repeated triples": 4,
    }
    skipped = made["skipped_properties"]
    assert skipped["P9999"] == {"triples": 1, "reason": "not in the registry"}
    assert skipped["P737"]["reason"].startswith("influenced by: Influence is often mutual")


def test_mutual_pairs_of_an_antisymmetric_relation_are_a_warning_and_left_out(tmp_path):
    mutual = [(o, r, s) for s, r, o in couples(5, "P40", "child")]
    made = built(tmp_path, [*FACTS, *mutual])
    assert made["relations"]["P40"]["mutual_pairs"] == 5
    assert made["relations"]["P40"]["mirrored_share"] == pytest.approx(10 / 35)
    assert made["left_out"] == {"antisymmetric pairs stated both ways": 5}
    assert any(
        w
        == "P40 child is registered as antisymmetric, and 5 of its 30 pairs are stated both ways; they are left out"
        for w in made["warnings"]
    )
    assert sum(row["relation"] == "P40" for row in made["rows"]) == 25


@pytest.mark.parametrize(("n_mutual", "is_warned"), [(1, False), (8, True)])
def test_mutual_pairs_as_rare_as_those_of_influenced_by_in_codex_are_a_warning(n_mutual, is_warned, tmp_path):
    """8 of 1,373 pairs of CoDEx's P737 are mutual, 1.2% of its triples; one such pair is a slip."""
    text = REGISTRY.replace("P26", "P737").replace('"spouse"', '"influenced by"')
    text = text.replace("symmetric", "antisymmetric").replace("[X] and [Y] are", "[X] was to [Y]")
    path = write(tmp_path / "mine.toml", text)
    facts = couples(1373, "P737")
    made = built(tmp_path, [*facts, *((o, r, s) for s, r, o in facts[:n_mutual])], relations=path)
    warning = f"P737 influenced by is registered as antisymmetric, and {n_mutual} of its 1,373 pairs are stated both ways"
    assert any(w.startswith(warning) for w in made["warnings"]) == is_warned
    assert made["left_out"] == {"antisymmetric pairs stated both ways": n_mutual}


def test_a_symmetric_relation_that_is_never_mirrored_is_a_warning(tmp_path):
    warnings = built(tmp_path, FACTS)["warnings"]
    assert any(
        w.startswith("P26 spouse is registered as symmetric, and the mirror image of only 0.0%")
        for w in warnings
    )


def test_ids_without_a_label_and_ids_given_twice(tmp_path):
    facts = [(f"Q{2 * i}", "P26", f"Q{2 * i + 1}") for i in range(1, 30)]
    labels = "".join(f"Q{i}\tName {i}\n" for i in range(2, 58)) + "Q2\tAnother\n"
    made = built(tmp_path, facts, labels=write(tmp_path / "l.txt", labels))
    assert made["inputs"]["labels"]["ids_given_twice"] == 1
    assert "1 ids have several lines of labels, as Q2; the first counts" in made["warnings"]
    assert "2 of 58 ids have no label, as Q58; their triples are left out" in made["warnings"]
    assert made["left_out"]["triples with an unlabelled id"] == 1
    assert "Name 2" in names_in(made)


def test_max_bad_bounds_what_is_tolerated(tmp_path):
    path = write(tmp_path / "t.tsv", LINES + "one\ttwo\n")
    made = built(tmp_path, path, max_bad=0.05)
    assert made["inputs"]["triples"]["bad_lines"] == 1
    assert any(w.startswith(f"1 bad lines are left out, as {path}:61:") for w in made["warnings"])
    with pytest.raises(
        DataError, match=re.escape(f"{path}:61: 2 columns; expected 3, separated by tabs (1 of 61 lines")
    ):
        built(tmp_path, path, max_bad=0.01, out=tmp_path / "other")


# -- what is wrong ends in one line with file and line number --

BAD = {
    "too few columns": (b"a\tP26\n", ":1: 2 columns; expected 3, separated by tabs"),
    "too many columns": (b"a\tP26\tb\tc\n", ":1: 4 columns; expected 3, separated by tabs"),
    "spaces for tabs": (b"a P26 b\n", ":1: 1 columns; expected 3, separated by tabs"),
    "an empty cell": (b"a\tP26\t\n", ":1: an empty cell; expected a triple"),
    "not UTF-8": (b"caf\xe9\tP26\tb\n", ":1: not UTF-8; convert the file to UTF-8"),
}


@pytest.mark.parametrize("case", BAD, ids=str)
@pytest.mark.parametrize("place", [0, 41])
def test_a_bad_line_is_named_with_file_and_line(case, place, tmp_path):
    bad, message = BAD[case]
    lines = LINES.encode().splitlines(keepends=True)
    path = write(tmp_path / "t.tsv", b"".join([*lines[:place], bad, *lines[place:]]))
    message = message.replace(":1:", f":{place + 1}:")
    with pytest.raises(DataError, match=re.escape(f"{path}{message}")) as caught:
        built(tmp_path, path)
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.tsv"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.tsv", b"", ":1: the file is empty; expected triples"),
        ("t.tsv", b"\n\n", "expected a triple"),
        ("t.tsv.gz", LINES.encode(), ":1: cannot be read to its end (Not a gzipped file (b'pe')); is it complete?"),
        ("t.tsv", b"a\tP9999\tb\n" * 9, "no triple of a registered relation; it has P9999; expected Wikidata properties"),
        ("t.tsv", b"a\tP17\tb\n" * 9, "it has P17 (country: Wikidata lets a state be its own country"),
        ("t.tsv", b"Q1\tP26\tQ2\n" * 9, "the entities are ids, as Q1, and they have no labels; give --labels FILE"),
        ("t.tsv", b"a\tP26\ta\n" * 9, "no triple is left to build from (1 triples of an entity with itself, 8 repeated"),
        ("t.json", b"[\nnot json\n]\n", ":2: not an entity of a Wikidata dump (not JSON: Expecting value); expected one"),
        ("t.json", b'[\n{"id": "Q1", "labels": [1]}\n]\n', ":2: not an entity of a Wikidata dump (labels is a list)"),
        ("t.csv", b"s,p,o\na,P26,b\na,P26\n", ":3: 2 columns; expected 3, separated by commas"),
        ("t.csv", b"a,b\n1,2\n", ":1: no column for the property; the header has a, b; expected one of property"),
        ("t.csv", b"a,a\n1,2\n", ":1: the header has an empty or repeated column: a,a"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_one_line(name, content, message, tmp_path):
    path = write(tmp_path / name, content)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        built(tmp_path, path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


DUMP = b"[\n" + b"".join(b'{"id": "Q%d", "labels": {}},\n' % i for i in range(500)) + b"]\n"


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        ("t.tsv.gz", gzip.compress(LINES.encode() * 50, mtime=0)[:-400]),
        ("t.tsv.bz2", bz2.compress(LINES.encode() * 50)[:-40]),
        ("t.tsv.xz", lzma.compress(LINES.encode() * 50)[:-40]),
        ("t.json.bz2", bz2.compress(DUMP)[:-10]),
        ("t.json.gz", gzip.compress(DUMP, mtime=0)[:-10]),
        # Whole, but a byte of its checksum is another.
        ("t.json.gz", gzip.compress(DUMP, mtime=0)[:-8] + b"\0" + gzip.compress(DUMP, mtime=0)[-7:]),
        # A block of a kind that there is not.
        ("t.json.gz", gzip.compress(b"", mtime=0)[:10] + b"\xff" * 30),
    ],
    ids=["gz", "bz2", "xz", "dump-bz2", "dump-gz", "checksum", "damaged"],
)
def test_a_file_that_is_cut_off_is_one_line_with_the_last_line_that_can_be_read(name, packed, tmp_path):
    path = write(tmp_path / name, packed)
    with pytest.raises(DataError) as caught:
        built(tmp_path, path)
    match = re.fullmatch(
        rf"{re.escape(str(path))}:(\d+): cannot be read to its end \([^\n]+\); is it complete\? fetch or pack it again",
        str(caught.value),
    )
    assert match
    assert 1 <= int(match[1]) <= max(50 * N, 503)
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ":1: the file has no lines"),
        (b"Q1\n" * 3, ":1: no title; expected an id, a tab and its title"),
        (b"Q1\tone\nQ2\t\n", ":2: no title; expected an id, a tab and its title"),
        (b"Q1\tcaf\xe9\n", ":1: not UTF-8; convert the file to UTF-8"),
        (b"Q7\tseven\n" * 3, "l.txt has no label for any; give --labels FILE"),
    ],
)
def test_a_label_file_that_cannot_be_used_is_one_line(content, message, tmp_path):
    facts = triples_file(tmp_path, [("Q1", "P26", "Q2"), ("Q3", "P26", "Q4")])
    with pytest.raises(DataError, match=re.escape(message)):
        built(tmp_path, facts, labels=write(tmp_path / "l.txt", content))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "pairs"}, "--split pairs: expected one of random, pair, entity, relation, phrasing"),
        ({"test_share": 1.0}, "--test-share 1: expected more than 0 and less than 1"),
        ({"max_bad": 1.5}, "--max-bad 1.5: expected at least 0 and less than 1"),
        ({"max_per_relation": 0}, "--max-per-relation 0: expected at least 1"),
        (
            {"bare": True, "paraphrase": True},
            "--bare has one phrasing per relation, and --paraphrase needs several",
        ),
        (
            {"bare": True, "split": "phrasing"},
            "--bare has one phrasing per relation, and --split phrasing needs several",
        ),
        ({"sole_property": "P17"}, "--property P17: Wikidata lets a state be its own country"),
        (
            {"sole_property": "P26"},
            "--property P26: triples.tsv has the property of each triple; --property is for a SPARQL result",
        ),
        ({"sole_property": "P9999"}, "--property P9999: not in the registry; add it with --relations FILE"),
    ],
)
def test_options_that_cannot_be_are_one_line(options, message, tmp_path):
    with pytest.raises(SettingError, match=re.escape(message)):
        built(tmp_path, FACTS, **options)


def test_files_that_are_not_there_and_a_folder_that_is(tmp_path):
    for option in ("labels", "relations"):
        with pytest.raises(DataError, match=f"--{option} .*nowhere: no such file"):
            built(tmp_path, FACTS, **{option: tmp_path / "nowhere"})
    (tmp_path / "out").mkdir()
    with pytest.raises(SettingError, match=r"--to .* exists; name another folder, or remove it"):
        built(tmp_path, FACTS)


# -- the registry --

REGISTRY = """registry_version = 1

[relations.P26]
name = "spouse"
kind = "symmetric"
kind_source = "by definition"
phrasings = ["[X] is married to [Y]", "[X] and [Y] are married"]

[refused.P17]
name = "country"
reason = "no sure label"
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"symmetric"',
            '"symetric"',
            ":5: relations.P26: kind 'symetric' is unknown; did you mean symmetric or antisymmetric?",
        ),
        ("phrasings", "phrasing", ":7: relations.P26: 'phrasing' is unknown; did you mean phrasings?"),
        (
            'kind = "symmetric"\n',
            "",
            ":3: relations.P26: kind is missing; expected name, kind, phrasings, kind_source",
        ),
        (
            "[X] is married to [Y]",
            "[X] is married",
            ":7: relations.P26: phrasings is '[X] is married'; expected [X] once and [Y] once",
        ),
        (
            "[X] and [Y] are married",
            "[X] is married to [Y]",
            ":7: relations.P26: phrasings is ['[X] is married to [Y]', '[X] is married to [Y]']; expected different "
            "sentences with [X] and [Y]",
        ),
        ('"spouse"', "7", ":4: relations.P26: name is 7; expected a text"),
        (
            "[relations.P26]",
            "[relation.P26]",
            ":3: 'relation' is unknown; did you mean relations or registry_version?",
        ),
        (
            "registry_version = 1",
            "",
            ": registry_version is missing; expected a number, as registry_version = 1",
        ),
        ('name = "spouse"', "name = spouse", ":4: not TOML"),
        ("[refused.P17]", "[refused.P26]", ":9: P26 is under [relations] as well"),
        ('reason = "no sure label"', "", ":9: refused.P17: reason is missing; expected name, reason"),
    ],
)
def test_a_registry_with_a_typo_is_one_line_with_its_place(old, new, message, tmp_path):
    assert REGISTRY.count(old) >= 1
    path = write(tmp_path / "mine.toml", REGISTRY.replace(old, new, 1))
    with pytest.raises(DataError, match=re.escape(f"{path}{message}")):
        built(tmp_path, FACTS, relations=path)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("[relations.P26]", "[relation.P26]", "[relation.P26]"),
        ("[relations.P36]", "[relations.P36x]", "[relations.P36x]"),
        ("[relations.P22]", "[relations.p22]", "[relations.p22]"),
        ("[relations.P25]", "[relations.P025]", "[relations.P025]"),
        ("[refused.P17]", "[refused.p17]", "[refused.p17]"),
        ('name = "capital"', 'nme = "capital"', 'nme = "capital"'),
        ('"[Y] is the capital of [X]"', '"[Y] is the capital of [Z]"', '"[Y] is the capital of [Z]"'),
        ("[refused.P17]", "[refused.P36]", "[refused.P36]"),
    ],
)
def test_the_place_of_a_typo_in_the_registry_of_contsym_is_its_line(old, new, line, tmp_path):
    """Comments and longer ids (P361 beside P36) name the same words."""
    text = (
        resources.files("contsym.data.wikidata")
        .joinpath("relations.toml")
        .read_text("utf-8")
        .replace(old, new, 1)
    )
    number = next(i for i, each in enumerate(text.splitlines(), 1) if line in each)
    with pytest.raises(DataError, match=rf"^mine\.toml:{number}: "):
        parse(text, "mine.toml")


def test_a_relation_and_its_inverse_share_no_phrasing():
    """Otherwise the phrasing of a relation held out for the test would be in training."""
    more = REGISTRY[REGISTRY.index("[relations.P26]") : REGISTRY.index("[refused")]
    more = more.replace("P26", "P40").replace("[X] and [Y] are", "[X] was to [Y]")
    for phrasing, how in (
        ("[X] is married to [Y]", ""),
        ("[Y] is married to [X]", ", with [X] and [Y] the other way round"),
    ):
        text = REGISTRY + more.replace("[X] is married to [Y]", phrasing)
        message = f"mine.toml:16: {phrasing!r} is already a phrasing of P26{how}; use another wording"
        with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
            parse(text, "mine.toml")


def test_the_place_of_an_entry_is_not_that_of_a_longer_id():
    longer = REGISTRY[REGISTRY.index("[relations.P26]") : REGISTRY.index("[refused")].replace("P26", "P2671")
    longer = longer.replace("married", "wed")
    text = REGISTRY.replace("[relations.P26]", longer + "[relations.P26]").replace('"symmetric"', '"x"', 2)
    text = text.replace('"x"', '"symmetric"', 1)
    number = text.splitlines().index('kind = "x"') + 1
    with pytest.raises(DataError, match=rf"^mine\.toml:{number}: relations.P26: kind 'x' is unknown"):
        parse(text, "mine.toml")


def test_a_custom_registry(tmp_path):
    path = write(tmp_path / "mine.toml", REGISTRY)
    made = built(tmp_path, FACTS, relations=path)
    assert set(made["relations"]) == {"P26"}
    assert made["registry"] == {"version": 1, "file": "mine.toml", "sha256": parse(REGISTRY, "").sha256}
    assert made["skipped_properties"] == {"P40": {"triples": 30, "reason": "not in the registry"}}


@pytest.mark.parametrize("pattern", [r"(?=p)(.+)", r"(.)\1.*"])
def test_a_pattern_that_the_engine_does_not_read_is_refused_first(pattern, tmp_path):
    path = write(tmp_path / "mine.toml", f"entity_name = '{pattern}'\n{REGISTRY}")
    start = re.escape(f"{path}: entity_name '{pattern}': ")
    with pytest.raises(DataError, match=rf"^{start}.*; expected a regular expression of RE2, without"):
        built(tmp_path, [("one", "two")], relations=path)


def test_an_error_of_the_engine_is_no_traceback(tmp_path, monkeypatch):
    import duckdb

    def broken(*_, **__):
        raise duckdb.OutOfMemoryException("Out of Memory Error: could not spill\nmore lines")

    monkeypatch.setattr("contsym.data.splits.assign", broken)
    with pytest.raises(ContsymError, match=r"could not be built .Out of Memory Error: could not spill."):
        built(tmp_path, FACTS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["triples.tsv"]
