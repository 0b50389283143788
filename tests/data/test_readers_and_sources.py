"""Every format and layout of pairs, and every way in which a row can be wrong.

Over 400 lines: formats and mistakes are tables.
"""

import csv
import gzip
import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contsym.api import inputs
from contsym.data import sources
from contsym.data.readers import read_rows
from contsym.data.sources import load_task, parse_source
from contsym.errors import ContsymError, DataError, SettingError
from contsym.tasks.catalog import own_tasks
from contsym.tasks.schema import NLI_LABELS, read_task
from tests.data.class_numbers import CARD, OTHER_ORDER, parquet

MULTINLI = ("gold_label", "sentence1", "sentence2", "pairID")
GLUE = (
    *("index", "promptID", "pairID", "genre", "sentence1_binary_parse", "sentence2_binary_parse"),
    *("sentence1_parse", "sentence2_parse", "sentence1", "sentence2", "label1", "gold_label"),
)


def row(i, label="entailment", **more):
    return {"id": f"p{i}", "premise": f"it rains {i}", "hypothesis": f"it pours {i}", "label": label, **more}


def jsonl(path, rows):
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return path


def labels_of(part):
    return [NLI_LABELS[label] for label in part["label"]]


def folder_of(tmp_path, train, test=None):
    jsonl(tmp_path / "train.jsonl", train)
    jsonl(tmp_path / "test.jsonl", test or [row(99)])
    jsonl(tmp_path / "validation.jsonl", [row(98)])
    return str(tmp_path)


# -- formats --


def test_jsonl_folder(tmp_path):
    data = load_task("mnli", folder_of(tmp_path, [row(1), row(2, "neutral")]))
    assert data.train["id"][:] == ["p1", "p2"]
    assert labels_of(data.train) == ["entailment", "neutral"]
    assert data.rows == {"train": 2, "validation": 1, "test": 1}


def test_multinli_jsonl_and_txt_of_one_folder(tmp_path):
    cells = [("entailment", "a b", "a", "1e"), ("-", "c", "d", "2e"), ("neutral", 'say "x', "y", "3n")]
    for name in ("multinli_1.0_train", "multinli_1.0_dev_matched", "multinli_1.0_dev_mismatched"):
        own = [(label, premise, f"{hypothesis} {name}", id_) for label, premise, hypothesis, id_ in cells]
        jsonl(tmp_path / f"{name}.jsonl", [dict(zip(MULTINLI, c, strict=True)) for c in own])
        lines = ["\t".join(MULTINLI), *("\t".join(c) for c in own)]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines) + "\n")
    data = load_task("mnli", str(tmp_path))
    assert data.train["premise"][:] == ["a b", 'say "x']
    assert data.notes == (
        "train: 1 row without an agreed label is left out",
        "validation: 1 row without an agreed label is left out",
        "test: 1 row without an agreed label is left out",
    )
    assert {text.split()[-1] for text in data.validation["hypothesis"]} == {"multinli_1.0_dev_mismatched"}
    alone = [row for _, row in read_rows(tmp_path / "multinli_1.0_train.txt")]
    assert [row["premise"] for row in alone] == ["a b", "c", 'say "x']
    assert alone[0] == {
        "id": "1e",
        "premise": "a b",
        "hypothesis": "a multinli_1.0_train",
        "label": "entailment",
    }


def test_glue_takes_the_development_part_not_the_unlabelled_test(tmp_path):
    parts = {
        "train": "neutral",
        "dev_matched": "contradiction",
        "dev_mismatched": "entailment",
        "test_matched": "hidden",
    }
    for name, label in parts.items():
        cells = ["0"] * 8 + ["a sentence", f"another of {name}", label, label]
        (tmp_path / f"{name}.tsv").write_text("\t".join(GLUE) + "\n" + "\t".join(cells) + "\n")
    data = load_task("mnli", str(tmp_path))
    labels = [labels_of(part) for part in data.parts.values()]
    assert labels == [["neutral"], ["entailment"], ["contradiction"]]
    assert "files that are not used: test_matched.tsv" in data.notes


def test_csv_with_quotes_and_line_breaks_in_a_cell(tmp_path):
    (tmp_path / "train.csv").write_text(
        'premise,hypothesis,label\n"a, ""b""",c,neutral\n"two\nlines",d,entailment\n'
    )
    (tmp_path / "test.csv").write_text("premise,hypothesis,label\ne,f,neutral\n")
    (tmp_path / "dev.csv").write_text("premise,hypothesis,label\ng,h,neutral\n")
    data = load_task("mnli", str(tmp_path))
    assert data.train["premise"][:] == ['a, "b"', "two\nlines"]


def test_csv_with_semicolons_is_read_as_spreadsheets_write_it(tmp_path):
    (tmp_path / "a.csv").write_text(
        '"premise";"hypothesis";"label, as voted";label\n"a; b";1,5 c;x;neutral\n'
    )
    assert pairs_of(tmp_path / "a.csv") == [("a; b", "1,5 c", "neutral")]


def test_parquet_with_numbered_labels(tmp_path):
    table = {"premise": list("abcd"), "hypothesis": list("efgh"), "label": [0, 1, 2, -1], "idx": [5, 6, 7, 8]}
    names = ("train-00000-of-00002", "train-00001-of-00002", "validation_matched-00000-of-00001")
    for name in (*names, "validation_mismatched-00000-of-00001"):
        own = {**table, "hypothesis": [f"{text} {name}" for text in table["hypothesis"]]}
        pq.write_table(pa.table(own), tmp_path / f"{name}.parquet")
    data = load_task("mnli", str(tmp_path))
    assert labels_of(data.test) == ["entailment", "neutral", "contradiction"]
    assert data.rows == {"train": 6, "validation": 3, "test": 3}
    assert data.notes[0] == "train: 2 rows without an agreed label are left out"


def test_published_pairs_say_1_for_entailment(tmp_path):
    rows = [
        {"premise": "a borders b", "hypothesis": "b borders a", "label": "1"},
        {"premise": "a owns b", "hypothesis": "b owns a", "label": "0"},
    ]
    data = load_task("wikidata", folder_of(tmp_path, rows, rows))
    assert data.train["kind"][:] == ["symmetric", "antisymmetric"]
    assert data.train["relation"][:] == ["borders", "owns"]
    assert data.train["subject"][:] == ["a", "a"]


def test_byte_order_mark_and_windows_line_ends(tmp_path):
    for name in ("train", "dev", "test"):
        text = f"premise\thypothesis\tlabel\r\na\t{name}\tneutral\r\n"
        (tmp_path / f"{name}.tsv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load_task("mnli", str(tmp_path)).train["hypothesis"][:] == ["train"]


def test_a_single_file_is_split_with_mirrored_pairs_together(tmp_path):
    rows = []
    for i in range(60):
        rows += [
            {"id": f"{i}a", "premise": f"a{i} x b{i}", "hypothesis": f"b{i} x a{i}", "label": "entailment"},
            {"id": f"{i}b", "premise": f"b{i} x a{i}", "hypothesis": f"a{i} x b{i}", "label": "entailment"},
        ]
    data = load_task("mnli", str(jsonl(tmp_path / "pairs.jsonl", rows)))
    train, test = ({i[:-1] for i in part["id"]} for part in (data.train, data.test))
    assert train & test == set()
    assert train
    assert test
    assert data.notes[0] == "one part only: a hash of the text moves 20% of its pairs to the test part"


SNLI_LINE = {"sentence1": "a man sleeps", "sentence2": "he is awake", "gold_label": "contradiction",
             "annotator_labels": ["contradiction"], "sentence1_parse": ""}  # fmt: skip


@pytest.mark.parametrize("name", ["scitail_1.0_{}.txt", "{}.csv", "{}.json"])
@pytest.mark.parametrize("layout", ["lines", "array", "array a line each", "spread"])
def test_json_is_read_by_its_content_whatever_its_file_is_named(name, layout, tmp_path):
    rows = [SNLI_LINE, {**SNLI_LINE, "gold_label": "-"}, {**SNLI_LINE, "gold_label": "neutral"}]
    text = {
        "lines": "\n".join(map(json.dumps, rows)),
        "array": json.dumps(rows),
        "array a line each": "\ufeff[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n",
        "spread": json.dumps(rows, indent=2),
    }[layout]
    for part in ("train", "test"):
        (tmp_path / name.format(part)).write_text(text)
    jsonl(tmp_path / "dev.jsonl", [row(1)])
    data = load_task("snli", str(tmp_path))
    assert labels_of(data.train) == ["contradiction", "neutral"]
    assert data.train["hypothesis"][:] == ["he is awake"] * 2


def test_a_wrong_row_of_an_array_is_named_with_its_line(tmp_path):
    (tmp_path / "train.json").write_text(json.dumps([row(1), {**row(2), "label": "maybe"}], indent=0))
    (tmp_path / "test.json").write_text(json.dumps([row(3)]))
    with pytest.raises(
        DataError, match=r"train\.json:8: label 'maybe' is unknown; expected entailment, neutral or"
    ):
        load_task("mnli", str(tmp_path))


# -- other spellings of the same rows --


def pairs_of(path):
    return [(row["premise"], row["hypothesis"], row["label"]) for _, row in read_rows(path)]


def write_table(path, rows, separator, **options):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=separator, lineterminator="\n", **options)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize(
    "names",
    [
        ("Premise", "HYPOTHESIS", "Label"),
        (" premise", "hypothesis ", " label"),
        ("Sentence1", "Sentence2", "Gold_Label"),
        ("sentence_A", "sentence_B", "entailment_label"),
    ],
)
def test_columns_in_another_case_and_those_of_sick(names, tmp_path):
    rows = [(f"a dog {i}", f"a cat {i}", NLI_LABELS[i % 3]) for i in range(9)]
    renamed = [dict(zip(names, row, strict=True)) for row in rows]
    pq.write_table(pa.Table.from_pylist(renamed), tmp_path / "p.parquet")
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in renamed))
    write_table(tmp_path / "p.csv", renamed, ",")
    for suffix in ("parquet", "jsonl", "csv"):
        assert pairs_of(tmp_path / f"p.{suffix}") == rows


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_a_table_with_tabs_that_a_csv_writer_quoted_is_the_same_as_one_with_commas(quoting, tmp_path):
    rows = [
        {"premise": f'He said "yes" {i}.', "hypothesis": f'"Yes," he said {i}.', "label": NLI_LABELS[i % 3]}
        for i in range(9)
    ]
    tabs = write_table(tmp_path / "p.tsv", rows, "\t", quoting=quoting)
    commas = write_table(tmp_path / "p.csv", rows, ",")
    assert pairs_of(tabs) == pairs_of(commas) == [tuple(row.values()) for row in rows]


def test_a_folder_whose_training_pairs_are_packed_is_refused(tmp_path):
    folder_of(tmp_path, [row(i) for i in range(9)])
    train = tmp_path / "train.jsonl"
    train.with_suffix(".jsonl.gz").write_bytes(gzip.compress(train.read_bytes(), mtime=0))
    train.unlink()
    with pytest.raises(DataError, match=r"train\.jsonl\.gz: a packed file, .*unpack it"):
        load_task("mnli", str(tmp_path))


@pytest.mark.parametrize("name", ["multinli_1.0_dev_matched", "val", "Valid", "my-eval", "test_matched"])
def test_a_folder_with_a_test_part_alone_is_not_trained_on(name, tmp_path):
    jsonl(tmp_path / f"{name}.jsonl", [row(i) for i in range(40)])
    with pytest.raises(DataError, match=f"no file for train, only {name}.jsonl; give that file"):
        load_task("mnli", str(tmp_path))


def test_sick_as_it_was_released(tmp_path):
    """Marelli et al. 2014 have three files, whose label has another name than in the file with all pairs."""
    for i, part in enumerate(("train", "trial", "test_annotated")):
        lines = [f"{i}\ta dog {i}\ta cat {i}\t3.2\tNEUTRAL\r\n"]
        header = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\r\n"
        (tmp_path / f"SICK_{part}.txt").write_bytes("".join([header, *lines]).encode())
    data = load_task("sick", str(tmp_path))
    assert [part["id"][:] for part in data.parts.values()] == [["0"], ["1"], ["2"]]


def test_the_test_part_of_glue_has_no_labels_and_the_development_part_is_tested(tmp_path):
    for part, i in (("train", 0), ("dev", 40)):
        lines = [f"{j}\tit rains {j}\tit pours {j}\tnot_entailment\n" for j in range(i, i + 20)]
        (tmp_path / f"{part}.tsv").write_text("index\tsentence1\tsentence2\tlabel\n" + "".join(lines))
    (tmp_path / "test.tsv").write_text("index\tsentence1\tsentence2\n0\tit rains\tit pours\n")
    data = load_task("rte", str(tmp_path))
    assert sorted(map(int, data.test["id"])) == [*range(40, 60)]
    assert "files that are not used: test.tsv" in data.notes


def test_files_that_macos_writes_beside_others_are_no_data(tmp_path):
    folder = folder_of(tmp_path, [row(1)])
    (tmp_path / "._train.jsonl").write_bytes(b"\0\5\x16\7Mac OS X")
    assert load_task("mnli", folder).train["id"][:] == ["p1"]


def test_data_in_folders_inside_are_named(tmp_path):
    for name in ("R1", "R2"):
        (tmp_path / name).mkdir()
        jsonl(tmp_path / name / "train.jsonl", [row(1)])
    with pytest.raises(
        DataError, match=f"{tmp_path}: no data files here, but in R1, R2 inside; expected train and"
    ):
        load_task("mnli", str(tmp_path))


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.csv", "pairs.tsv", "pairs.parquet"])
def test_a_pointer_of_git_lfs_is_not_the_file(name, tmp_path):
    path = tmp_path / name
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 99\n")
    with pytest.raises(DataError) as raised:
        load_task("mnli", str(path))
    assert str(raised.value) == (
        f"{path}: a pointer of Git LFS, not the file itself; fetch it with `git lfs pull`"
    )


def test_a_table_without_a_header_is_told_to_have_one(tmp_path):
    path = tmp_path / "scitail_1.0_dev.tsv"
    path.write_text("A man walks his dog.\tA man is outside.\tentailment\n" * 2)
    with pytest.raises(
        DataError, match="or, if these are the cells of a row, begin the file with a line of the names"
    ):
        load_task("mnli", str(path))


def test_a_label_of_any_length_is_shown_in_part(tmp_path):
    with pytest.raises(DataError) as raised:
        load_task("mnli", folder_of(tmp_path, [row(1, ["neutral"] * 99)]))
    assert str(raised.value).endswith("... is unknown; expected entailment, neutral or contradiction")
    assert len(str(raised.value)) < len(str(tmp_path)) + 200


@pytest.mark.parametrize("name", ["val", "Valid", "eval", "my_validation", "mine-val", "mine.dev", "dev_set"])
def test_a_validation_part_is_known_by_any_spelling(name, tmp_path):
    for part, i in (("train", 1), ("test", 2), (name, 3)):
        jsonl(tmp_path / f"{part}.jsonl", [row(i)])
    data = load_task("mnli", str(tmp_path))
    assert [part["id"][:] for part in data.parts.values()] == [["p1"], ["p3"], ["p2"]]
    assert data.notes == ()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            "mnli_train mnli_test wikidata_train wikidata_test",
            "mnli_train.jsonl, wikidata_train.jsonl are all the part train; expected one file or its shards",
        ),
        ("train test hans_test", "hans_test.jsonl, test.jsonl are all the part test;"),
        ("train test Val dev val", "Val.jsonl, val.jsonl are all the part validation;"),
        ("train old-train test", "old-train.jsonl, train.jsonl are all the part train;"),
        (
            "train train-00000-of-00001 test",
            "train-00000-of-00001.jsonl, train.jsonl are all the part train;",
        ),
    ],
)
def test_several_files_of_one_part_are_not_joined(names, message, tmp_path):
    for i, name in enumerate(names.split()):
        jsonl(tmp_path / f"{name}.jsonl", [row(i)])
    with pytest.raises(DataError) as raised:
        load_task("mnli", str(tmp_path))
    assert str(raised.value).startswith(f"{tmp_path}: {message}")


def test_a_task_joins_the_files_that_it_names(tmp_path):
    for i, name in enumerate(("old_train", "train", "test", "val")):
        jsonl(tmp_path / f"{name}.jsonl", [row(i, "yes")])
    head = 'summary = "Yes or no."\nlabels = ["yes", "no"]\n[parts]\ntrain = ["train+old_train"]\n'
    data = load_task(read_task("mine", head, "mine.toml"), str(tmp_path))
    assert [part["id"][:] for part in data.parts.values()] == [["p0", "p1"], ["p3"], ["p2"]]


def test_files_that_are_not_used_are_named(tmp_path):
    folder = folder_of(tmp_path, [row(1), row(2)])
    for name in ("dev.jsonl", "unlabelled.jsonl", "README.txt"):
        (tmp_path / name).write_text("of another kind\n")
    assert load_task("mnli", folder).notes == ("files that are not used: dev.jsonl, unlabelled.jsonl",)


def test_a_dict_of_parts_has_no_key_that_nobody_reads(tmp_path):
    given = {"train": [row(1), row(2)], "val": [row(3)], "test": [row(4)]}
    data = load_task("mnli", inputs.source("mnli", given, tmp_path))
    assert data.rows == {"train": 2, "validation": 1, "test": 1}
    with pytest.raises(SettingError, match="mnli: 'spare' is no part; expected one of dev, dev_matched, "):
        inputs.source("mnli", {**given, "spare": [row(5)]}, tmp_path)


def test_a_label_of_null_is_none(tmp_path):
    data = load_task("mnli", folder_of(tmp_path, [row(1), row(2, None)]))
    assert data.rows["train"] == 1
    assert "train: 1 row without an agreed label is left out" in data.notes


# -- what is wrong, and where --


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            {**row(2), "label": "entails"},
            "label 'entails' is unknown; expected entailment, neutral or contradiction",
        ),
        (
            {"premise": "a", "label": "neutral"},
            "column 'hypothesis' is missing; the row has premise, label; name it under [columns] of a task (contsym new "
            "task NAME --from FILE writes one)",
        ),
        (
            {"premise": "a", "hypotesis": "b", "label": "neutral"},
            "column 'hypothesis' is missing; the row has premise, hypotesis, label; rename 'hypotesis' if it is meant, or "
            "name it under [columns] of a task (contsym new task NAME --from FILE writes one)",
        ),
        (
            {"premise": "a", "hypothesis": "b"},
            "label is missing; expected entailment, neutral or contradiction",
        ),
        ({**row(2), "premise": "   "}, "premise is empty; expected a sentence"),
        ({**row(2), "premise": 7}, "premise is int; expected text"),
        ({**row(2), "hypothesis": "\ud800"}, "hypothesis has half a surrogate pair; expected Unicode text"),
        ({**row(2), "kind": "reflexive"}, "kind 'reflexive' is unknown; expected symmetric or antisymmetric"),
        (
            {**row(2), "kind": "antisymmetric"},
            "kind 'antisymmetric' goes with label 'contradiction', not 'entailment'",
        ),
    ],
)
def test_a_wrong_row_is_named_with_file_and_line(tmp_path, line, message):
    folder = folder_of(tmp_path, [row(1), line])
    with pytest.raises(DataError) as raised:
        load_task("mnli", folder)
    assert str(raised.value) == f"{folder}/train.jsonl:2: {message}"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.jsonl",
            b'{"premise": "x"\n',
            "a.jsonl:1: not JSON (Expecting ',' delimiter); expected one object per line",
        ),
        ("a.jsonl", b"[1]\n", "a.jsonl:1: a list; expected one JSON object per line"),
        ("a.jsonl", b"{}\n\xff\xfe\n", "a.jsonl:2: byte 0 is not UTF-8; convert the file to UTF-8"),
        ("a.tsv", b"premise\tlabel\nx\n", "a.tsv:2: 1 columns; the header has 2"),
        ("a.csv", b"premise,label\nx\n", "a.csv:2: 1 columns; the header has 2"),
        (
            "a.jsonl",
            b"premise\thypothesis\tlabel\nx\ty\tneutral\n",
            "a.jsonl:1: a header with tabs; expected one JSON object per line; name the file .tsv if it is such a table",
        ),
        (
            "a.tsv",
            b"premise,hypothesis,label\nx,y,neutral\n",
            "a.tsv:1: a header with commas; expected tabs; name the file .csv if it is such a table",
        ),
        (
            "a.csv",
            b"premise\thypothesis\tlabel\nx\ty\tneutral\n",
            "a.csv:1: a header with tabs; expected commas; name the file .tsv if it is such a table",
        ),
        (
            "a.json",
            b'[{"premise": "x", "hypothesis": "y"}',
            "a.json: not JSON (the array has no end); expected one array of objects",
        ),
        (
            "a.json",
            b'{"premise": "x", "hypothesis"\n: "y"} x',
            "a.json:2: not JSON (Expecting value); expected one array of objects",
        ),
        ("a.csv", b'premise,label\n"x,neutral\n', "a.csv:2: not CSV (unexpected end of data)"),
        (
            "a.csv",
            b"premise|hypothesis|label\nx|y|neutral\n",
            "a.csv:2: column 'premise' is missing; the row has premise|hypothesis|label; its columns are separated by "
            "'|': save it with commas",
        ),
        (
            "a.tsv",
            b"premise;hypothesis;label\nx;y;neutral\n",
            "a.tsv:1: a header with semicolons; expected tabs; name the file .csv if it is such a table",
        ),
        (
            "a.txt",
            b"sentence;swapped;follows\nx;y;no\n",
            "a.txt:2: column 'premise' is missing; the row has sentence;swapped;follows; its columns are separated by "
            "';': name the file .csv",
        ),
        (
            "a.json",
            b'{"data": []}',
            "a.json:1: column 'premise' is missing; the row has data; name it under [columns] of a task (contsym new task "
            "NAME --from FILE writes one)",
        ),
        (
            "a.json",
            b'{"version": "1.0", "data": [{"premise": "x", "hypothesis": "y", "label": "neutral"}]}',
            "a.json:1: an object with the rows in a list, 'data'; expected that list alone, or one object per line (.jsonl)",
        ),
        (
            "a.tsv",
            b"premise\tlabel\rx\tneutral\r",
            "a.tsv: lines end with CR alone, as on old Macs; convert them to LF",
        ),
        (
            "a.jsonl",
            gzip.compress(b'{"premise": "x"}', mtime=0),
            "a.jsonl: a packed file (such as gzip or zip); expected text: unpack it",
        ),
        (
            "a.xml",
            b"<a/>",
            "a.xml: format '.xml' is unknown; expected .jsonl, .json, .txt, .tsv, .csv, .parquet",
        ),
    ],
)
def test_a_file_whose_name_contradicts_its_content(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as raised:
        list(read_rows(tmp_path / name))
    assert str(raised.value) == f"{tmp_path}/{message}"


def test_a_file_of_another_kind_is_refused_before_it_is_read(tmp_path):
    (tmp_path / "mine.toml").write_text("")
    with pytest.raises(
        DataError, match=r"mine\.toml: format '\.toml' is unknown; .* given with --plugin .*mine\.toml$"
    ):
        parse_source("wikidata", str(tmp_path / "mine.toml"))


def test_an_invalid_parquet_file(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR0 nothing")
    with pytest.raises(DataError, match=r"a\.parquet: not a readable Parquet file \("):
        list(read_rows(tmp_path / "a.parquet"))


def test_an_empty_part_and_an_empty_folder(tmp_path):
    folder = folder_of(tmp_path, [])
    with pytest.raises(DataError, match=r"the train part has no labelled pairs$"):
        load_task("mnli", folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no data files; expected train and test as \.jsonl"):
        load_task("mnli", str(tmp_path / "empty"))


def test_a_folder_that_datasets_saved_is_one_line(tmp_path):
    from datasets import Dataset, DatasetDict

    DatasetDict(train=Dataset.from_list([row(1)])).save_to_disk(tmp_path / "saved")
    for folder in (tmp_path / "saved", tmp_path / "saved" / "train"):
        with pytest.raises(DataError) as raised:
            load_task("mnli", str(folder))
        assert (
            str(raised.value)
            == f"{folder}: written by save_to_disk; expected each part by to_parquet or to_json"
        )


@pytest.mark.parametrize("spec", ["", "/dev/null", "no/such"])
def test_what_is_neither_file_nor_folder(spec):
    with pytest.raises(DataError, match=r"no such file or folder; expected a path, bundled or hub$"):
        load_task("mnli", spec)


def test_a_folder_without_a_test_part_lists_what_it_has(tmp_path):
    for name in ("more", "train"):
        jsonl(tmp_path / f"{name}.jsonl", [row(1)])
    with pytest.raises(
        DataError, match=r"no file for dev_matched or .*; the folder has more\.jsonl, train\.jsonl$"
    ):
        load_task("mnli", str(tmp_path))


def test_a_folder_with_one_file_is_that_file(tmp_path):
    path = jsonl(tmp_path / "pairs.jsonl", [row(i) for i in range(40)])
    data = load_task("snli", str(tmp_path))
    assert data.fingerprint == load_task("snli", str(path)).fingerprint
    assert sum(data.rows.values()) == 40
    assert data.notes[0] == "one part only: a hash of the text moves 20% of its pairs to the test part"


def test_the_same_part_in_two_formats_is_refused(tmp_path):
    folder = folder_of(tmp_path, [row(1)])
    (tmp_path / "train.csv").write_text("premise,hypothesis,label\n")
    with pytest.raises(DataError, match=r"train\.csv, train\.jsonl are the same part twice; keep one"):
        load_task("mnli", folder)


# -- the Hub --


COMMIT = "0123456789abcdef0123456789abcdef01234567"
PINNED = {task.source.partition("@")[0]: task.source.partition("@")[2] for task in own_tasks().values()}
"""The commit of each task's dataset."""


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub cache as a download leaves it, read with HF_HUB_OFFLINE=1, without a network."""
    import datasets
    import huggingface_hub

    from contsym.data import hub as hub_source

    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    for function in (hub_source.resolve, hub_source._parts):
        function.cache_clear()

    def add(repository, labels, parts):
        commit = PINNED.get(f"hub:{repository}", COMMIT)
        folder = cache / f"datasets--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True, exist_ok=True)
        (folder / "refs" / "main").write_text(commit)
        for part in {*parts, "validation"}:
            path = folder / "snapshots" / commit / "data" / f"{part}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            table = {
                "premise": [f"{part}{i} knows b{i}" for i, _ in enumerate(labels)],
                "hypothesis": [f"b{i} knows {part}{i}" for i, _ in enumerate(labels)],
                "label": labels,
            }
            pq.write_table(pa.table(table), path)

    yield add
    for function in (hub_source.resolve, hub_source._parts):
        function.cache_clear()


def test_hub_mnli_names_the_commit_that_was_read(hub):
    hub("nyu-mll/multi_nli", [0, 1, 2, -1], ("train", "validation_matched", "validation_mismatched"))
    data = load_task("mnli", "hub")
    commit = PINNED["hub:nyu-mll/multi_nli"]
    assert data.source == f"hub:nyu-mll/multi_nli@{commit}"
    assert labels_of(data.test) == ["entailment", "neutral", "contradiction"]
    assert load_task("mnli", f"hub@{commit}").fingerprint == data.fingerprint


@pytest.mark.parametrize("place", ["card", "schema"])
def test_hub_class_numbers_are_read_by_the_names_of_the_data_set(place, hub, tmp_path):
    hub("nyu-mll/multi_nli", [0, 1, 2], ("train", "validation_matched"))
    (folder,) = (tmp_path / "hub").glob("*/snapshots/*")
    if place == "card":
        card = CARD.replace("  - name: label", "  - name: hypothesis\n    dtype: string\n  - name: label")
        (folder / "README.md").write_text(card)
    else:
        for path in folder.glob("data/*.parquet"):
            features = {name: {"dtype": "string", "_type": "Value"} for name in ("premise", "hypothesis")}
            parquet(path, [0, 1, 2], OTHER_ORDER, features)
    data = load_task("mnli", "hub")
    assert labels_of(data.test) == OTHER_ORDER
    assert data.notes == (
        "hub:nyu-mll/multi_nli: commit da70db2af9d0 of the Hub cache (HF_HUB_OFFLINE is set)",
    )


def test_hub_snli_and_anli(hub):
    hub("stanfordnlp/snli", [0, -1, 2], ("train", "validation", "test"))
    assert load_task("snli", "hub").rows == {"train": 2, "validation": 2, "test": 2}
    hub("facebook/anli", [0, 1, 2], [f"{part}_r{n}" for part in ("train", "dev", "test") for n in (1, 2, 3)])
    assert load_task("anli", "hub").rows == {"train": 9, "validation": 9, "test": 9}


@pytest.mark.parametrize(
    ("form", "repositories"),
    [
        ("lexicalised", ["MoyYuan/Asymmetricity-Text-NLI"]),
        ("delexicalised", ["MoyYuan/Asymmetricity-Delex-NLI"]),
        ("both", ["MoyYuan/Asymmetricity-Text-NLI", "MoyYuan/Asymmetricity-Delex-NLI"]),
    ],
)
def test_hub_wikidata_by_form(hub, form, repositories):
    for repository in repositories:
        hub(repository, ["1", "0"], ("train", "test"))
    data = load_task("wikidata", "hub", form)
    assert data.source == "hub:" + "+".join(f"{repository}@{COMMIT}" for repository in repositories)
    assert labels_of(data.train) == ["entailment", "contradiction"] * len(repositories)
    assert set(data.train["relation"]) == {"knows"}


def test_a_hub_revision_that_is_not_in_the_cache_is_one_line(hub):
    hub("nyu-mll/multi_nli", [0, 1], ("train", "validation_matched"))
    with pytest.raises(ContsymError) as raised:
        load_task("mnli", "hub@v9")
    assert str(raised.value) == (
        "hub:nyu-mll/multi_nli cannot be loaded: HF_HUB_OFFLINE is set; unset it to fetch from the Hub once, or give a "
        "local copy as a path: --mnli PATH"
    )


def test_an_invalid_hub_name(hub):
    with pytest.raises(ContsymError) as raised:
        load_task("mnli", "hub:../../etc")
    assert str(raised.value) == (
        "--mnli hub:../../etc: '../../etc' is not a Hub dataset; expected hub:OWNER/NAME, with :CONFIGURATION and "
        "@REVISION where they are needed"
    )


# -- bundled --


def test_the_bundled_sample_of_multinli_is_balanced_and_a_premise_is_in_one_part():
    data = load_task("mnli", "bundled")
    assert data.source == "MultiNLI 1.0 (bundled sample)"
    assert data.rows == {"train": 2000, "validation": 600, "test": 600}
    assert data.notes == ()
    counts = {part: sorted(Counter(pairs["label"][:]).values()) for part, pairs in data.parts.items()}
    assert counts == {"train": [666, 667, 667], "validation": [200] * 3, "test": [200] * 3}
    train, validation, test = (set(pairs["premise"][:]) for pairs in data.parts.values())
    assert not (train & validation or train & test or validation & test)
    # Training is of MultiNLI's training split, the others of its development split.
    assert {i.rpartition("-")[0] for i in data.train["id"]} == {"mnli"}
    assert {i.rpartition("-")[0] for i in [*data.validation["id"], *data.test["id"]]} == {"dev-matched"}


def test_the_fingerprint_is_of_the_content_not_of_the_name(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = load_task("mnli", folder_of(tmp_path / "a", [row(1), row(2)]))
    same = load_task("mnli", folder_of(tmp_path / "b", [row(1), row(2)]))
    other = load_task("mnli", folder_of(tmp_path / "b", [row(1), row(2, "neutral")]))
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_bundled_tasks_have_a_bundled_source():
    assert {name for name, task in own_tasks().items() if task.bundled} == set(sources.BUNDLED)


def test_snli_has_no_bundled_pairs():
    with pytest.raises(DataError) as raised:
        load_task("snli", "bundled")
    assert str(raised.value) == "--snli bundled: no such file or folder; expected a path or hub"


def test_a_task_without_a_test_part_takes_one_file(tmp_path):
    rows = [{"text": f"a {i}", "relation": "P26" if i % 2 else "P40"} for i in range(40)]
    for part in ("train", "test"):
        (tmp_path / f"{part}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    with pytest.raises(DataError) as raised:
        load_task("fewrel", str(tmp_path))
    assert str(raised.value) == (
        f"{tmp_path}: the folder has test.jsonl, train.jsonl, and task fewrel has one part, which is divided; give that file"
    )
    data = load_task("fewrel", str(tmp_path / "train.jsonl"))
    assert sum(data.rows.values()) == 40
    assert {data.labels[label] for label in data.train["label"]} == {"spouse", "child"}


def test_a_space_after_a_comma_is_no_text(tmp_path):
    lines = ["premise,hypothesis,label", *(f'"it rains {i}", "it pours {i}", neutral' for i in range(20))]
    (tmp_path / "pairs.csv").write_text("\n".join(lines) + "\n")
    found = [row for _, row in read_rows(tmp_path / "pairs.csv")]
    assert found[3] == {"premise": "it rains 3", "hypothesis": "it pours 3", "label": " neutral"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "p.csv",
            "premise,hypothesis,Label,LABEL\na,b,x,y\n",
            ":2: columns 'Label' and 'LABEL' are both 'label'",
        ),
        (
            "p.jsonl",
            '{"premise": "a", "hypothesis": "b", "label": "x", "label": "y"}\n',
            ":1: the object has 'label' twice",
        ),
        (
            "p.json",
            '[{"premise": "a", "hypothesis": "b", "label": "x", "label": "y"}]',
            ":1: the object has 'label' twice",
        ),
    ],
)
def test_a_column_that_comes_twice_is_refused(name, text, message, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError) as raised:
        list(read_rows(path))
    assert str(raised.value).startswith(f"{path}{message}")


def test_a_number_is_as_good_as_a_text_where_either_may_stand(tmp_path):
    numbered = [row(i, group=[0, 1.0, False, None][i % 4], relation=i % 2) for i in range(40)]
    data = load_task("mnli", str(jsonl(tmp_path / "pairs.jsonl", numbered)))
    every = [each for part in data.parts.values() for each in part]
    assert {each["group"] for each in every} == {"0", "1", "False", ""}
    assert {each["relation"] for each in every} == {"0", "1"}


def test_a_text_of_a_parquet_file_may_be_a_list_of_its_words(tmp_path):
    task = read_task("mine", 'summary = "x"\nlabels = ["a", "b"]\ninputs = "single"\n', "mine.toml")
    rows = [{"tokens": ["it", "rains", str(i)], "label": "ab"[i % 2], "skill": ["x", "y"]} for i in range(40)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "texts.parquet")
    data = load_task(task, str(tmp_path / "texts.parquet"))
    assert "it rains 7" in {text for part in data.parts.values() for text in part["premise"]}
    twice = pa.Table.from_arrays([pa.array(["a"])] * 3, ["text", "label", "label"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(DataError, match=r"column 'label' is there twice; expected each column once$"):
        load_task(task, str(tmp_path / "twice.parquet"))


def test_a_filter_without_its_column_is_refused(tmp_path):
    def task(column, values='["wiki", "true", "1"]'):
        text = f'summary = "x"\nlabels = ["a", "b"]\ninputs = "single"\n[only]\n{column} = {values}\n'
        return read_task("mine", text, "mine.toml")

    rows = [
        {"text": f"it rains {i}", "label": "ab"[i % 2], "Domain": ["wiki", "x"][i // 2 % 2]}
        for i in range(80)
    ]
    path = str(jsonl(tmp_path / "texts.jsonl", rows))
    assert sum(load_task(task("Domain"), path).rows.values()) == 40
    for name, hint in (
        ("domain", "; did you mean 'Domain'?"),
        ("Domian", "; did you mean 'Domain'?"),
        ("year", ""),
    ):
        with pytest.raises(DataError) as raised:
            load_task(task(name), path)
        missing = f"column {name!r}, which the task names under [only], is missing; the row has text, label, Domain{hint}"
        assert str(raised.value).endswith(missing)
    with pytest.raises(
        DataError, match=r"no labelled texts that \[only\] of the task keeps; expected some 20"
    ):
        load_task(task("Domain", '["y"]'), path)
    for value in (True, 1.0):
        typed = jsonl(tmp_path / "typed.jsonl", [{**each, "Domain": value} for each in rows])
        assert sum(load_task(task("Domain"), str(typed)).rows.values()) == 80


def test_columns_that_nobody_needs_may_come_twice(tmp_path):
    rows = [
        {**{k: v for k, v in row(i).items() if k != "id"}, "ID": f"a{i}", "Id": f"b{i}", "meta": {"a": 1}}
        for i in range(20)
    ]
    path = jsonl(tmp_path / "pairs.jsonl", rows)
    path.write_text(path.read_text().replace('{"a": 1}', '{"a": 1, "a": 2}'))
    data = load_task("mnli", str(path))
    assert {text[0] for part in data.parts.values() for text in part["id"]} == {"a"}
    task = read_task("mine", 'summary = "x"\nlabels = ["u", "v"]\n[columns]\nlabel = "y"\n', "mine.toml")
    named = [{**each, "y": "uv"[i % 2], "Label": "1", "LABEL": "2"} for i, each in enumerate(rows)]
    named = [{k: v for k, v in each.items() if k != "label"} for each in named]
    assert sum(load_task(task, str(jsonl(tmp_path / "named.jsonl", named))).rows.values()) == 20


def test_a_filter_goes_by_the_columns_that_any_of_the_first_rows_has(tmp_path):
    text = 'summary = "x"\nlabels = ["a", "b"]\ninputs = "single"\n[only]\ndomain = ["wiki"]\n'
    rows = [
        {"text": f"it rains {i}", "label": "ab"[i // 2 % 2], **({"domain": "wiki"} if i % 2 else {})}
        for i in range(80)
    ]
    data = load_task(read_task("mine", text, "mine.toml"), str(jsonl(tmp_path / "texts.jsonl", rows)))
    assert sum(data.rows.values()) == 40


def test_a_small_file_of_repeated_words_does_not_fill_the_memory(tmp_path):
    words = pa.array([["x" * 2_000_000]] * 400)
    table = pa.table({"tokens": words, "label": ["a", "b"] * 200})
    pq.write_table(table, tmp_path / "texts.parquet", compression="zstd")
    assert (tmp_path / "texts.parquet").stat().st_size < 20_000
    task = read_task("mine", 'summary = "x"\nlabels = ["a", "b"]\ninputs = "single"\n', "mine.toml")
    before = pa.total_allocated_bytes()
    with pytest.raises(DataError, match=r"bytes of text in 400 rows; expected at most"):
        load_task(task, str(tmp_path / "texts.parquet"))
    assert pa.default_memory_pool().max_memory() - before < 400 << 20
