"""What is trained and stored does not depend on pairs that are held out."""

import json
import shutil
from pathlib import Path

import pytest

from tests.runs import toy_run
from tests.toy import both_tasks


def with_other_labels(source: str, part: str, folder: Path) -> str:
    """A copy of the source in which each label of the part is another one."""
    shutil.copytree(source, folder)
    path = folder / f"{part}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    other = {"entailment": "contradiction", "contradiction": "entailment", "neutral": "entailment"}
    path.write_text("".join(json.dumps({**row, "label": other[row["label"]]}) + "\n" for row in rows))
    return str(folder)


@pytest.fixture
def toy(tmp_path):
    return both_tasks(tmp_path / "toy")


@pytest.mark.parametrize("strategy", ["knn_fixed", pytest.param("fine_tune+replay", marks=pytest.mark.slow)])
def test_labels_of_test_pairs_have_no_say_in_any_prediction(strategy, toy, tiny_encoder_folder, tmp_path):
    changed = {task: with_other_labels(source, "test", tmp_path / task) for task, source in toy.items()}
    predicted = []
    for sources in (toy, changed):
        _, rows, _ = toy_run(
            sources, tiny_encoder_folder, tmp_path, strategy, shots=8, settings={"steps": "4"}
        )
        predicted.append([{name: row[name] for name in ("id", "row_1", "row_2")} for row in rows])
    assert predicted[0] == predicted[1]
