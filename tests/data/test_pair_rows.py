"""Undivided pairs of a file or of rows in memory: labels, skills, remarks and refusals."""

import json

import pandas
import pytest
from datasets import ClassLabel, Dataset

from contsym.data.pair_rows import read_pair_rows
from contsym.errors import DataError
from contsym.tasks.schema import NLI_LABELS

ROWS = [
    {
        "sentence1": "a b",
        "sentence2": "b a",
        "gold_label": "entailment",
        "skill": "spatial",
        "relation": "near",
    },
    {"sentence1": "a c", "sentence2": "c a", "gold_label": "-", "skill": "spatial"},
    {"sentence1": "a d", "sentence2": "d a", "gold_label": "contradiction"},
]


def checked(pairs):
    return [(row["premise"], row["label"], row["skill"], row["relation"], row["kind"]) for row in pairs.rows]


EXPECTED = [("a b", 0, "spatial", "near", "symmetric"), ("a d", 2, "", "", "")]


@pytest.mark.parametrize(
    "make", [list, pandas.DataFrame, Dataset.from_list], ids=["dicts", "frame", "dataset"]
)
def test_rows_in_memory_are_read_as_a_file_is(make, tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    of_file, of_rows = read_pair_rows(path), read_pair_rows(make(ROWS))
    assert checked(of_file) == checked(of_rows) == EXPECTED
    assert of_file.notes == of_rows.notes == ("1 row without an agreed label is left out",)
    assert (of_file.source, of_rows.source) == (str(path), "rows")


def test_several_skills_may_be_a_list_or_a_text():
    skills = (["spatial", "logic"], "spatial|logic", [None, " "])
    rows = [{"premise": "a", "hypothesis": "b", "label": "neutral", "skill": skill} for skill in skills]
    assert [row["skill"] for row in read_pair_rows(rows).rows] == ["spatial|logic", "spatial|logic", ""]


def test_numbers_as_labels_are_read_as_those_of_nli_with_a_remark():
    pairs = read_pair_rows([{"premise": "a", "hypothesis": "b", "label": 2}])
    assert pairs.rows[0]["label"] == 2
    assert "0 entailment, 1 neutral, 2 contradiction" in pairs.notes[0]


def test_a_wrong_row_is_named_by_its_place():
    with pytest.raises(DataError, match=r"^rows:2: label 'entails' is unknown"):
        read_pair_rows([{"premise": "a", "hypothesis": "b", "label": x} for x in ("neutral", "entails")])


def test_a_dataset_names_its_class_numbers_in_its_own_order():
    names = ["contradiction", "entailment", "neutral"]
    rows = [{"premise": f"p{i}", "hypothesis": "h", "label": i} for i in (0, 1, 2, -1)]
    dataset = Dataset.from_list(rows).cast_column("label", ClassLabel(names=names))
    found = read_pair_rows(dataset)
    assert [NLI_LABELS[row["label"]] for row in found.rows] == names
