"""Scenario files, their effect on the data, and runs with them."""

import re
from pathlib import Path

import pytest

from contsym.errors import ContsymError
from contsym.scenarios.catalog import find_scenario
from contsym.scenarios.schema import read_scenario
from tests.runs import toy_run
from tests.toy import nli_rows, relation_rows, write_task

DOCS = Path(__file__).parents[2] / "docs" / "scenarios.md"


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return {
        "wikidata": str(write_task(folder / "wikidata", relation_rows(), 64)),
        "mnli": str(write_task(folder / "mnli", nli_rows(), 30)),
        "snli": str(write_task(folder / "snli", nli_rows(), 30)),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("summary = 3", "mine.toml:1: summary is 3; expected a sentence on the purpose of the scenario"),
        (
            'summary = "S"',
            "mine.toml: experience is missing; expected at least one [[experience]] with a task",
        ),
        (
            'summary = "S"\n[[experience]]\ntask = "mnly"',
            "mine.toml:3: experience 1: task 'mnly' is unknown; did you mean mnli or snli or qnli?",
        ),
        (
            'summary = "S"\n[[experience]]\ntask = "mnli"\nform = "delexicalised"',
            "mine.toml:2: experience 1: mnli has no symmetric relations, which form needs; expected a task such "
            "as wikidata",
        ),
        (
            'summary = "S"\n[[experience]]\ntask = "wikidata"\nlabel_noise = 2',
            "mine.toml:4: experience 1: label_noise is 2; expected a share between 0 and 1, as 0.2",
        ),
        (
            'summary = "S"\n[[experience]]\ntask = "wikidata"\npart = "3 of 2"',
            'mine.toml:4: experience 1: part is \'3 of 2\'; expected "K of N", as "2 of 5", with 1 <= K <= N and '
            "2 <= N <= 1000",
        ),
        (
            'summary = "S"\n[[experience]]\ntask = "mnli"\nname = "a"\n[[experience]]\ntask = "snli"\nname = "a"',
            "mine.toml: name 'a-2' is used twice; expected one name per experience",
        ),
    ],
)
def test_a_mistake_in_a_file_is_one_line(text, message):
    with pytest.raises(ContsymError) as caught:
        read_scenario("mine", text, "mine.toml")
    assert str(caught.value) == message


def test_what_is_only_stored_is_in_the_memory_and_in_the_validation_accuracy(
    toy, tiny_encoder_folder, tmp_path
):
    stored, _, tensors = toy_run(toy, tiny_encoder_folder, tmp_path, "knn_fixed", "new_label", curve=True)
    bare, _, _ = toy_run(toy, tiny_encoder_folder, tmp_path, "knn_fixed", "new_label", curve=False)
    # Measured after the pairs were stored, with a trajectory too.
    assert stored.validation == bare.validation
    assert [len(losses) for losses in stored.loss] == [12, 0, 0]
    assert stored.tasks == ["two_labels", "third_label", "wikidata"]
    # Everything was stored, the third label too: 60 NLI pairs and the 200 of relations.
    assert sorted(set(tensors["memory.labels"].tolist())) == [0, 1, 2]
    assert len(tensors["memory.labels"]) == 260


def test_the_documents_file_is_a_scenario_that_runs(toy, tiny_encoder_folder, tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text("utf-8"), re.S)
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    plan = find_scenario(str(path))
    assert plan.names == ("wikidata-1", "wikidata-2", "without_names")
    result, _, _ = toy_run(
        toy, tiny_encoder_folder, tmp_path, "knn_fixed", scenario=str(path), settings={"steps": "3"}, shots=8
    )
    assert result.tasks == list(plan.names)
    # N shots of each experience.
    assert [result.sources[name].rows.train for name in plan.names] == [8, 8, 8]
