"""Class numbers get the class names of the data; only without such names are they in GLUE's order."""

import json

import pytest

from contsym.data.class_names import of_features
from contsym.data.sources import load_task
from contsym.errors import DataError
from contsym.tasks.schema import NLI_LABELS
from tests.data.class_numbers import CARD, OTHER_ORDER, columns, parquet

THIRD_ORDER = ["Neutral", "Entailment", " CONTRADICTION "]
BARE = (
    "labels are numbers without names in the data; they are read as 0 entailment, 1 neutral, 2 contradiction"
)


def jsonl(path, labels):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = columns(labels, path.stem)
    lines = [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def labels_of(part):
    return [NLI_LABELS[label] for label in part["label"][:]]


def test_a_column_in_another_case_has_its_class_names():
    features = {" Label": {"names": THIRD_ORDER}, "premise": {}}
    assert of_features(features) == {"label": tuple(THIRD_ORDER)}
    assert of_features({**features, "label": {"names": OTHER_ORDER}}) == {"label": tuple(OTHER_ORDER)}


def test_each_parquet_file_uses_its_class_names(tmp_path):
    parquet(tmp_path / "train.parquet", [0, 1, 2, -1], OTHER_ORDER)
    parquet(tmp_path / "validation.parquet", [0, 1, 2], THIRD_ORDER)
    parquet(tmp_path / "dev.parquet", [0], OTHER_ORDER)
    data = load_task("mnli", str(tmp_path))
    assert labels_of(data.train) == ["entailment", "contradiction", "neutral"]
    assert labels_of(data.test) == ["neutral", "entailment", "contradiction"]
    assert data.notes == ("train: 1 row without an agreed label is left out",)


def test_what_datasets_itself_writes(tmp_path):
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features(
        {"premise": Value("string"), "hypothesis": Value("string"), "label": ClassLabel(names=OTHER_ORDER)}
    )
    for part in ("train", "dev", "test"):
        Dataset.from_dict(columns([0, 1, 2], part), features=features).to_parquet(
            tmp_path / f"{part}.parquet"
        )
    assert labels_of(load_task("snli", str(tmp_path)).test) == OTHER_ORDER


DESCRIBED = {"features": {"label": {"names": OTHER_ORDER, "_type": "ClassLabel"}}}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("README.md", CARD),
        ("dataset_info.json", json.dumps(DESCRIBED)),
        ("dataset_infos.json", json.dumps({"default": DESCRIBED})),
    ],
)
@pytest.mark.parametrize("folder", [".", "data"])
def test_a_description_beside_the_data_or_above_their_folder(name, text, folder, tmp_path):
    (tmp_path / name).write_text(text)
    for part in ("train", "dev", "test"):
        jsonl(tmp_path / folder / f"{part}.jsonl", [0, "1", 2.0])
    data = load_task("mnli", str(tmp_path / folder))
    assert labels_of(data.train) == OTHER_ORDER
    assert data.notes == ()


def test_one_file_with_a_description_beside_it(tmp_path):
    (tmp_path / "README.md").write_text(CARD)
    rows = load_task("mnli", str(jsonl(tmp_path / "pairs.jsonl", [1] * 40)))
    assert {*labels_of(rows.train), *labels_of(rows.test)} == {"contradiction"}


def test_configurations_that_disagree_are_refused_unless_the_folder_names_one(tmp_path):
    other = {"features": {"label": {"names": THIRD_ORDER, "_type": "ClassLabel"}}}
    (tmp_path / "dataset_infos.json").write_text(json.dumps({"one": DESCRIBED, "two": other}))
    for folder in ("one", "elsewhere"):
        for part in ("train", "dev", "test"):
            jsonl(tmp_path / folder / f"{part}.jsonl", [0, 1, 2])
    assert labels_of(load_task("mnli", str(tmp_path / "one")).train) == OTHER_ORDER
    with pytest.raises(
        DataError, match=r"infos\.json: the configurations number their classes differently \(one: ent"
    ):
        load_task("mnli", str(tmp_path / "elsewhere"))


def test_a_column_of_words_beside_the_numbers(tmp_path):
    for part in ("train", "dev", "test"):
        row = {"premise": "a", "hypothesis": part, "label": 1, "label_text": "contradiction"}
        (tmp_path / f"{part}.jsonl").write_text(json.dumps(row) + "\n")
    assert labels_of(load_task("mnli", str(tmp_path)).train) == ["contradiction"]


@pytest.mark.parametrize("number", [0, "0", 0.0, "0.0"])
def test_numbers_without_names_are_in_the_order_of_glue_with_a_note(number, tmp_path):
    for part in ("train", "dev", "test"):
        jsonl(tmp_path / f"{part}.jsonl", [number, 1, 2, "-1", -1.0])
    data = load_task("mnli", str(tmp_path))
    assert labels_of(data.train) == ["entailment", "neutral", "contradiction"]
    assert data.notes == tuple(
        f"{part}: {remark}"
        for part in ("train", "validation", "test")
        for remark in ("2 rows without an agreed label are left out", BARE)
    )


@pytest.mark.parametrize(
    ("names", "label", "message"),
    [
        (
            ["entailment", "not_entailment"],
            1,
            "label 'not_entailment' is unknown; expected entailment, neutral or",
        ),
        (OTHER_ORDER, 3, "label 3 has no name; the data name 0 entailment, 1 contradiction, 2 neutral"),
        (None, 3, "label 3 is unknown; expected entailment, neutral or contradiction"),
    ],
)
def test_an_unknown_class_is_one_line(names, label, message, tmp_path):
    for part in ("train", "test"):
        parquet(tmp_path / f"{part}.parquet", [0, label], names)
    with pytest.raises(DataError) as raised:
        load_task("mnli", str(tmp_path))
    assert str(raised.value).startswith(f"{tmp_path}/train.parquet:row 2: {message}")
