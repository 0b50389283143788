"""Matrices as they are stored, and what is said of files that hold none."""

import json

import pytest

from contsym.errors import ContsymError
from contsym.files import to_json
from contsym.results.matrix_files import EXPECTED, StoredMatrix, matrices_of, read_matrices
from contsym.results.mlflow_records import seed_record
from contsym.results.schema import FORMAT
from contsym.sweeps.find import find_row
from tests.errors import message_of
from tests.stored_results import make_result, plain_result, seed_folder, store_run

ROWS = ((0.34, 0.5), (0.8, 0.5), (0.6, 0.95))
CSV = "after,mnli,wikidata\nuntrained,0.34,0.5\nmnli,0.8,0.5\nwikidata,0.6,0.95\n"


def write(tmp_path, text):
    path = tmp_path / "matrix.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_result_and_the_folder_of_the_run(tmp_path):
    learned = {"mnli": False, "wikidata": True}
    run = store_run(tmp_path, "run", [1, 0], learned=learned)
    zero = StoredMatrix(("mnli", "wikidata"), ROWS, 0, (100, 40), learned, {"mnli": True, "wikidata": False})
    assert read_matrices(seed_folder(run, 0) / "result.json") == [zero]
    assert [matrix.seed for matrix in matrices_of(list(find_row(str(run), tmp_path).results.values()))] == [
        0,
        1,
    ]


def test_tasks_that_are_only_tested_have_no_part_in_it():
    plain = make_result()
    tested = plain.sources["mnli"].model_copy(update={"tested_only": True})
    result = plain.model_copy(
        update={
            "tasks": [*plain.tasks, "sis"],
            "sources": {**plain.sources, "sis": tested},
            "matrix": [[*row, 0.7] for row in (*plain.matrix, plain.matrix[-1])],
            "n_test": {**plain.n_test, "sis": 10},
            "loss": [*plain.loss, []],
            "trajectory": [],
        }
    )
    assert matrices_of([result]) == matrices_of([plain])
    # Nor in the file that goes to MLflow, whose figures are to be the same.
    marks = ("learned", "above_shortcuts", "final", "answers")
    measured = {key: {**getattr(plain, key), "sis": getattr(plain, key)["mnli"]} for key in marks}
    assert seed_record(result.model_copy(update=measured)).texts == seed_record(plain).texts


def test_a_csv_file(tmp_path):
    assert read_matrices(write(tmp_path, CSV)) == [StoredMatrix(("mnli", "wikidata"), ROWS)]
    # As Excel saves it.
    assert read_matrices(write(tmp_path, "\ufeff" + CSV.replace("\n", "\r\n")))[0].rows == ROWS


def test_the_csv_file_that_goes_to_mlflow_is_read(tmp_path):
    assert read_matrices(write(tmp_path, seed_record(make_result()).texts["matrix.csv"]))[0].rows == ROWS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: the header is 'nothing'; expected after,TASK,TASK,..."),
        ("after\n", ":1: the header is 'after'; expected after,TASK,TASK,..."),
        ("task,mnli\n", ":1: the header is 'task,mnli'; expected after,TASK,TASK,..."),
        (
            CSV.replace("mnli,wikidata", "mnli,mnli"),
            ":1: a task comes twice in the header; expected each once",
        ),
        (CSV.replace("0.8", "80"), ":3: mnli is 80.0; expected an accuracy between 0 and 1"),
        (CSV.replace("0.8", "nan"), ":3: mnli is nan; expected an accuracy between 0 and 1"),
        (CSV.replace("0.95", "high"), ":4: wikidata is 'high'; expected an accuracy between 0 and 1"),
        (CSV.replace("0.8,", ""), ":3: 1 accuracies for 2 tasks; expected one per task"),
        (
            CSV.replace("untrained,0.34,0.5\n", ""),
            ":2: the row is named 'mnli'; expected 'untrained': rows are untrained, mnli, wikidata",
        ),
        (
            CSV.replace("wikidata,0.6,0.95\n", ""),
            ": 2 rows for 2 tasks; expected 3: untrained, mnli, wikidata",
        ),
        (CSV + "wikidata,0.6,0.95\n", ": 4 rows for 2 tasks; expected 3: untrained, mnli, wikidata"),
    ],
)
def test_what_is_no_matrix_is_one_line(text, message, tmp_path):
    path = write(tmp_path, text)
    assert message_of(read_matrices, path) == f"{path}{message}"


def test_folders_and_files_without_a_matrix(tmp_path):
    assert message_of(read_matrices, tmp_path / "none") == f"{tmp_path}/none is not there; {EXPECTED}"
    assert message_of(read_matrices, tmp_path) == f"{tmp_path}: cannot be read (Is a directory); {EXPECTED}"
    path = tmp_path / "matrix.csv"
    path.write_bytes(b"after,\xff\n")
    assert message_of(read_matrices, path).startswith(
        f"{path}: cannot be read ('utf-8' codec can't decode byte 0xff"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"matrix": [[0.1, 0.2]]}, ": expected a matrix of 3 rows of 2 accuracies"),
        ({"matrix": [[0.1], *ROWS[1:]]}, ": expected a matrix of 3 rows of 2 accuracies"),
        ({"matrix": [*ROWS[:2], [0.5, 95]]}, ": matrix.2.1 is 95; expected less than or equal to 1"),
        (
            {"format": FORMAT + 1},
            f": format {FORMAT + 1}; this version reads format {FORMAT}; a newer contsym wrote it: update this one",
        ),
    ],
)
def test_a_result_that_was_changed_by_hand(change, message, tmp_path):
    path = tmp_path / "result.json"
    path.write_text(to_json(plain_result(**change)))
    assert message_of(read_matrices, path) == f"{path}{message}"


def test_a_result_without_a_matrix(tmp_path):
    path = tmp_path / "result.json"
    result = plain_result()
    del result["matrix"]
    path.write_text(json.dumps(result))
    assert message_of(read_matrices, path) == f"{path}: matrix is missing; expected a stored result"


def test_seeds_of_different_tasks():
    other = make_result(
        1, tasks=["mnli"], matrix=[[0.1], [0.2]], loss=[[]], trajectory=[], by_kind={}, forgetting={}
    )
    with pytest.raises(
        ContsymError, match=r"^the results have different tasks; give the folder of one result$"
    ):
        matrices_of([make_result(), other])
