"""Stored predictions: aligned by id, and refused where they do not match."""

from pathlib import Path

import numpy as np

from contsym.api.frames import plain_row, predictions_frame
from contsym.results.compare import StoredRow, differences_of
from contsym.results.predictions import read_aligned
from contsym.results.store import read_result
from tests.errors import message_of
from tests.stored_results import make_result, plain_result, store_predictions

E, C = "entailment", "contradiction"
ROWS = [
    {"task": "mnli", "id": "m:0", "label": E, "row_0": C, "row_1": E, "row_2": E},
    {"task": "wikidata", "id": "w:1", "label": E, "row_0": C, "row_1": C, "row_2": E},
    {"task": "wikidata", "id": "w:0", "label": C, "row_0": C, "row_1": E, "row_2": E},
]


def changed(**columns):
    """The rows with the last one changed."""
    return [*ROWS[:-1], {**ROWS[-1], **columns}]


def test_right_is_where_label_and_prediction_agree(tmp_path):
    folder = store_predictions(tmp_path / "a", ROWS)
    seeds, ids, correct = read_aligned({"x": {0: folder}}, "wikidata")
    assert (seeds, ids) == ([0], ["w:0", "w:1"])
    assert correct["x"].tolist() == [[False, True]]


def test_a_repeated_id_is_numbered(tmp_path):
    # As with --form both: the same pair with names and with opaque ids.
    folder = store_predictions(tmp_path / "a", changed(id="w:1"))
    assert read_aligned({"x": {0: folder}}, "wikidata")[1] == ["w:1", "w:1#2"]


def test_pairs_are_aligned_by_id_and_seeds_in_order(tmp_path):
    one = store_predictions(tmp_path / "one", ROWS)
    turned = store_predictions(tmp_path / "turned", ROWS[::-1])
    right = store_predictions(tmp_path / "right", changed(row_2=C))
    seeds, ids, tables = read_aligned({"x": {7: one, 3: right}, "y": {3: turned, 7: one}}, "wikidata")
    assert (seeds, ids) == ([3, 7], ["w:0", "w:1"])
    assert np.array_equal(tables["x"], [[True, True], [False, True]])
    assert np.array_equal(tables["y"], [[False, True], [False, True]])


def test_other_seeds_are_refused(tmp_path):
    folder = store_predictions(tmp_path / "a", ROWS)
    assert message_of(read_aligned, {"x": {0: folder, 1: folder}, "y": {0: folder}}, "wikidata") == (
        "x has the seeds 0,1, y has 0; a comparison needs the same seeds in every run"
    )


def test_other_pairs_and_other_labels_are_refused(tmp_path):
    folder = store_predictions(tmp_path / "a", ROWS)
    other = store_predictions(tmp_path / "b", changed(id="w:9"))
    assert message_of(read_aligned, {"x": {0: folder}, "y": {0: other}}, "wikidata") == (
        "the test pairs of wikidata differ: 1 are only in x, seed 0 (w:0), not in y, seed 0; "
        "a comparison needs the same pairs"
    )
    fewer = store_predictions(tmp_path / "c", ROWS[:-1])
    assert message_of(read_aligned, {"x": {0: fewer}, "y": {0: folder}}, "wikidata") == (
        "the test pairs of wikidata differ: 1 are only in y, seed 0 (w:0), not in x, seed 0; "
        "a comparison needs the same pairs"
    )
    relabelled = store_predictions(tmp_path / "d", changed(label=E))
    assert message_of(read_aligned, {"x": {0: folder}, "y": {0: relabelled}}, "wikidata") == (
        "the test pairs of wikidata differ: w:0 is contradiction in x, seed 0 and entailment in y, seed 0; "
        "a comparison needs the same data"
    )


def test_other_data_and_weights_under_the_same_names_are_listed():
    plain = plain_result()
    plain["sources"]["wikidata"]["fingerprint"] = "c3" * 32
    plain["encoder_weights"]["sha256"] = "99" * 32
    other = {name: plain[name] for name in ("sources", "encoder_weights")}
    results = {"x": make_result(), "y": make_result(strategy="fine_tune", **other)}
    runs = {name: StoredRow.of(name, {Path(name): result}) for name, result in results.items()}
    assert differences_of(runs) == {
        "encoder weights": {"x": "53aa" * 3, "y": "99" * 6},
        "data of wikidata": {"x": "b2" * 6, "y": "c3" * 6},
    }


def test_what_cannot_be_read_is_one_line(tmp_path):
    folder = store_predictions(tmp_path / "a", ROWS)
    path = folder / "predictions.csv"
    run = {"x": {0: folder}}
    assert message_of(read_aligned, run, "wikidta") == (
        f"{path}: no predictions for the task 'wikidta'; did you mean wikidata?"
    )
    cut = path.read_text().rsplit(",", 1)[0]
    path.write_text(cut)
    assert message_of(read_aligned, run, "wikidata") == (
        f"{path}: a line does not have 6 values; the file may be cut short"
    )
    path.write_text("task,id\n")
    assert message_of(read_aligned, run, "wikidata") == (
        f"{path}: the header is task,id; expected task,id,label,row_0,row_1,..."
    )
    path.unlink()
    assert message_of(read_aligned, run, "wikidata") == (
        f"{path}: cannot be read (No such file or directory); expected stored predictions"
    )


def test_a_table_of_predictions_is_of_a_whole_file(tmp_path):
    folder = store_predictions(tmp_path, ROWS, n_test={"mnli": 1, "wikidata": 2})
    given = {folder: read_result(folder)}
    frame = predictions_frame(given, "wikidata", plain_row)
    assert list(frame.columns[:5]) == ["strategy", "shots", "seed", "id", "label"]
    assert frame[["id", "after start", "after wikidata"]].values.tolist() == [["w:1", C, E], ["w:0", C, E]]
    path = folder / "predictions.csv"
    whole = path.read_text()
    for text, message in (
        ("", "the header is empty; expected task,id,label,row_0,row_1,..."),
        (whole.rsplit(",", 1)[0], "a line does not have 6 values; the file may be cut short"),
        # Within the name of the task.
        (whole.rsplit("data", 1)[0], "a line does not have 6 values; the file may be cut short"),
        (
            "\n".join(whole.splitlines()[:-1]),
            "1 predictions for the task 'wikidata'; expected 2: the file may be cut short",
        ),
    ):
        path.write_text(text)
        assert message_of(predictions_frame, given, "wikidata", plain_row) == f"{path}: {message}"
