"""A column that names the part of each row decides the parts; a note names the columns and rows that are not used."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contsym.data.part_columns import part_of
from contsym.data.readers import read_rows
from contsym.data.sources import load_task
from contsym.data.split_column import divided
from contsym.errors import DataError
from contsym.tasks.catalog import own_tasks


def rows(values, column="split"):
    return [
        {
            "id": f"p{i}",
            "premise": f"it rains {i}",
            "hypothesis": "it pours",
            "label": "neutral",
            column: value,
        }
        for i, value in enumerate(values)
    ]


def jsonl(path, found):
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return str(path)


def numbers(part):
    return [int(pair[1:]) for pair in part["id"][:]]


@pytest.mark.parametrize(
    ("column", "train", "test"),
    [
        ("split", "train", "test"),
        ("Split", "TRAIN", "TEST"),
        ("partition", "training", "val"),
        ("set", "Train", "dev"),
        ("fold", "train", "validation_matched"),
        ("SemEval_set", "TRAIN", "TRIAL"),
    ],
)
def test_the_parts_are_those_of_the_column(column, train, test, tmp_path):
    path = jsonl(tmp_path / "pairs.jsonl", rows([train, test, train, test, train], column))
    data = load_task("mnli", path)
    assert numbers(data.test) == [1, 3]
    assert sorted([*numbers(data.train), *numbers(data.validation)]) == [0, 2, 4]
    assert data.notes[0] == f"the parts are those of column {column!r}: {train} 3, {test} 2"


def written(folder, found):
    """The rows as JSON lines and as Parquet."""
    pq.write_table(pa.Table.from_pylist(found), folder / "pairs.parquet")
    return Path(jsonl(folder / "pairs.jsonl", found)), folder / "pairs.parquet"


def marks(path):
    """Of each row the only one."""
    return [mark for _, row in read_rows(path) for mark in row["split"]]


@pytest.mark.parametrize("column", ["type", "dataset", "phase", "Usage", "source_split"])
def test_a_column_of_another_name_is_known_by_its_values(column, tmp_path):
    for path in written(tmp_path, rows(["train", "test", "train"], column)):
        assert marks(path) == [(column, "train"), (column, "test"), (column, "train")]
        division, _ = divided(own_tasks()["mnli"], read_rows(path), "pairs")
        assert division == (column, {"train": ["train"], "test": ["test"]})


def test_a_column_of_another_name_that_names_parts_in_some_rows_is_named(tmp_path):
    path = jsonl(tmp_path / "pairs.jsonl", rows(["train", "test", "unlabelled"] * 10, "phase"))
    remark = "column 'phase' names parts in some rows only (test 10, train 10, unlabelled 10) and is not used"
    assert load_task("mnli", path).notes[0] == remark


def test_a_column_of_another_name_with_other_values_means_something_else(tmp_path):
    path = Path(jsonl(tmp_path / "pairs.jsonl", rows(["trial", "travel", "test"], "genre")))
    assert divided(own_tasks()["mnli"], read_rows(path), "pairs") == (None, [])


@pytest.mark.parametrize("real", ["phase", "is_test"])
def test_a_column_of_another_meaning_does_not_hide_the_one_that_names_parts(real, tmp_path):
    """Ordinary words, as of a source or a kind of document, are spellings of parts too."""
    is_test = [i % 4 == 3 for i in range(40)]
    values = is_test if real == "is_test" else ["test" if each else "train" for each in is_test]
    found = [
        {**row, "kindofdoc": "dev" if i % 2 else "book", real: value}
        for i, (row, value) in enumerate(zip(rows(range(40), "n"), values, strict=True))
    ]
    found[0][real] = "" if real == "phase" else found[0][real]
    for path in written(tmp_path, found[1:] if real == "phase" else found):
        data = load_task("mnli", str(path))
        assert numbers(data.test) == [i for i, each in enumerate(is_test) if each]
        assert not any("marked for another part" in note for note in data.notes)


def test_a_column_with_an_empty_cell_first_is_named(tmp_path):
    path = jsonl(tmp_path / "pairs.jsonl", rows(["", *["train", "test"] * 20], "phase"))
    remark = "column 'phase' names parts in some rows only (test 20, train 20, empty 1) and is not used"
    assert load_task("mnli", path).notes[0] == remark


def test_a_column_that_marks_no_row_for_training_gives_way(tmp_path):
    found = [{**row, "source": "dev"} for row in rows(["train", "test"] * 20, "phase")]
    found = [{"source": row.pop("source"), **row} for row in found]
    assert len(load_task("mnli", jsonl(tmp_path / "pairs.jsonl", found)).test) == 20


@pytest.mark.parametrize(
    ("column", "values"), [("is_test", [False, True]), ("Is_Train", [True, False]), ("train", [1, 0])]
)
def test_a_flag_says_whether_a_row_is_in_a_part(column, values, tmp_path):
    for kind in (type(values[0]), str):
        for path in written(tmp_path, rows(map(kind, values), column)):
            assert marks(path) == [(column, "train"), (column, "test")]


def test_several_flags_are_read_together(tmp_path):
    flags = [(1, 0), (0, 1), (0, 0)]
    found = [{**row, "is_train": t, "is_dev": d} for row, (t, d) in zip(rows("abc", "x"), flags, strict=True)]
    for path in written(tmp_path, found):
        assert [value for _, value in marks(path)] == ["train", "validation", "test"]


def test_numbers_of_parts_have_the_names_that_the_file_gives_them(tmp_path):
    features = {"split": {"names": ["test", "train"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.Table.from_pylist(rows([1, 0])).replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "pairs.parquet")
    assert marks(tmp_path / "pairs.parquet") == [("split", "train"), ("split", "test")]


def test_a_table_and_a_folder_with_one_file(tmp_path):
    lines = ["split\tsentence1\tsentence2\tlabel"]
    lines += [
        f"{part}\tit rains {i}\tit pours\tneutral" for i, part in enumerate(["train"] * 3 + ["test"] * 2)
    ]
    (tmp_path / "AllPairs.tsv").write_text("\n".join(lines) + "\n")
    assert load_task("mnli", str(tmp_path)).rows == {"train": 2, "validation": 1, "test": 2}


def test_other_parts_and_rows_that_say_nothing_are_left_out_and_named(tmp_path):
    values = ["train", "test", "dev", "extra", None, "train"]
    data = load_task("snli", jsonl(tmp_path / "pairs.jsonl", rows(values)))
    assert [numbers(part) for part in data.parts.values()] == [[0, 5], [2], [1]]
    assert data.notes == (
        "the parts are those of column 'split': train 2, dev 1, test 1",
        "rows of other parts in column 'split' are left out: empty 1, extra 1",
    )


def test_the_trial_rows_of_sick_are_its_validation_part(tmp_path):
    path = jsonl(tmp_path / "SICK.jsonl", rows(["TRAIN", "TRIAL", "TEST", "TRAIN"], "SemEval_set"))
    assert [numbers(part) for part in load_task("sick", path).parts.values()] == [[0, 3], [1], [2]]


def test_a_test_part_is_made_of_the_training_rows_alone(tmp_path):
    data = load_task("mnli", jsonl(tmp_path / "pairs.jsonl", rows(["train"] * 60 + ["extra"] * 60)))
    assert {n for part in data.parts.values() for n in numbers(part)} == set(range(60))
    assert data.notes[:2] == (
        "rows of other parts in column 'split' are left out: extra 60",
        "one part only: a hash of the text moves 20% of its pairs to the test part",
    )


def test_rows_for_the_test_are_never_trained_on(tmp_path):
    path = jsonl(tmp_path / "pairs.jsonl", rows(["test"] * 40))
    with pytest.raises(DataError) as raised:
        load_task("mnli", path)
    assert str(raised.value) == (
        f"{path}: column 'split' marks no row as train (test 40), and contsym does not train on other rows; "
        "expected training rows, or no such column"
    )


def test_a_column_without_parts_is_unused_with_a_note(tmp_path):
    data = load_task("mnli", jsonl(tmp_path / "pairs.jsonl", rows([str(i % 3) for i in range(40)], "fold")))
    assert data.notes[0] == "column 'fold' names no parts (0 14, 1 13, 2 13) and is not used"
    assert sum(data.rows.values()) == 40


def test_a_column_of_lists_is_no_column_of_parts(tmp_path):
    table = {"premise": list("abcdefgh"), "hypothesis": list("ijklmnop"), "label": ["neutral"] * 8}
    pq.write_table(pa.table({**table, "set": [["train"]] * 8}), tmp_path / "pairs.parquet")
    assert sum(load_task("mnli", str(tmp_path)).rows.values()) == 8


def test_a_column_that_contradicts_the_file_name_gives_a_note(tmp_path):
    jsonl(tmp_path / "train.jsonl", rows(["train", "test", "train"]))
    jsonl(tmp_path / "test.jsonl", rows(["test", "test"]))
    data = load_task("mnli", str(tmp_path))
    assert data.rows == {"train": 2, "validation": 1, "test": 2}
    assert (
        data.notes[0]
        == "train: rows marked for another part (test 1) stay; the name of the file or split decides"
    )


def test_relation_pairs_keep_to_their_parts_in_both_forms(tmp_path):
    found = [
        {
            "premise": f"a{i} owns b{i}",
            "hypothesis": f"b{i} owns a{i}",
            "label": "contradiction",
            "split": part,
        }
        for i, part in enumerate(["train"] * 5 + ["test"] * 2)
    ]
    assert load_task("wikidata", jsonl(tmp_path / "p.jsonl", found), "both").rows == {
        "train": 8,
        "validation": 2,
        "test": 4,
    }


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("Training set", "train"),
        ("VAL", "validation"),
        ("dev-mismatched", "dev_mismatched"),
        ("train_r2", "train_r2"),
        ("trainers", None),
        ("", None),
        ("2", None),
    ],
)
def test_how_parts_are_spelt(value, part):
    assert part_of(value) == part


@pytest.mark.parametrize("names", [("split", "partition"), ("split", "Split")])
def test_usual_columns_of_several_names_are_one(names, tmp_path):
    """As after joining two files: half of the rows are marked in one column, half in the other."""
    found = []
    for i, part in enumerate(["train", "train", "test"] * 40):
        (plain,) = rows([part], names[i % 2])
        found.append({**plain, "id": f"p{i}", "premise": f"it rains {i}"})
    data = load_task("mnli", jsonl(tmp_path / "pairs.jsonl", found))
    assert sum(data.rows.values()) == 120 and len(data.test) == 40
    # The same with both columns in every row, one of them empty.
    both = [{**dict.fromkeys(names), **row} for row in found]
    assert load_task("mnli", jsonl(tmp_path / "both.jsonl", both)).rows == data.rows


def test_texts_that_begin_with_the_name_of_a_part_are_texts(tmp_path):
    titles = ["Train travel in India", "Test cricket", *(f"Culture in place {i}" for i in range(298))]
    data = load_task("mnli", jsonl(tmp_path / "pairs.jsonl", rows(titles, "title")))
    assert not any("title" in note for note in data.notes)
