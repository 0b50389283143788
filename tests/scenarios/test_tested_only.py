"""Experiences that nothing is trained on: how a scenario names them, and what a run makes of them."""

import json

import pytest

from contsym.avalanche.forgetting import Forgetting
from contsym.commands.views.answer import answer_lines
from contsym.data.schema import stacked
from contsym.data.shortcuts import scores
from contsym.data.sources import load_task
from contsym.errors import ContsymError
from contsym.results.selection import macro_validation
from contsym.scenarios.catalog import find_scenario
from contsym.scenarios.schema import read_scenario
from contsym.tasks.catalog import find_task
from contsym.testing.toy import nli_rows, relation_rows, write_task, write_tasks
from contsym.training.observers import AnswerMatrix
from contsym.training.parts import training_part
from contsym.training.plan import prepare
from tests.runs import toy_config, toy_run

HEAD = 'summary = "Relations, then a test elsewhere."\n'
TRAINED = '[[experience]]\ntask = "wikidata"\n'
TESTED = '[[experience]]\ntask = "sis"\ntested_only = true\n'


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The toy tasks; `sis` are ten natural sentences in a file of one part, three of which contradict their twin."""
    folder = tmp_path_factory.mktemp("toy")
    sentences = [
        {
            "premise": f"the child of {name} likes ben",
            "hypothesis": f"ben likes the child of {name}",
            "label": "contradiction" if i < 3 else "entailment",
            "relation": "like",
            "group": "called asymmetric",
            "split": "test",
        }
        for i, name in enumerate(("anna", "carl", "dora", "emil", "fay", "gus", "hal", "ida", "jon", "kim"))
    ]
    path = folder / "sis.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in sentences), "utf-8")
    return {**write_tasks(folder), "sis": str(path)}


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + '[[experience]]\ntask = "mnli"\n' + TRAINED + TESTED, "utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TESTED + TRAINED, "mine.toml: tested_only before a trained experience; expected it at the end"),
        (TESTED, "mine.toml: tested_only before a trained experience; expected it at the end"),
        (
            TRAINED + '[[experience]]\ntask = "sis"\n',
            "mine.toml:4: experience 2: sis is a test set; expected tested_only = true",
        ),
        (
            TRAINED + TESTED + "label_noise = 0.1\n",
            "mine.toml:4: experience 2: tested_only and label_noise; expected one of them, since nothing is trained",
        ),
    ],
)
def test_a_mistake_is_one_line(text, message):
    with pytest.raises(ContsymError) as raised:
        read_scenario("mine", HEAD + text, "mine.toml")
    assert str(raised.value) == message


def test_orders_do_not_go_with_a_test():
    with pytest.raises(
        ContsymError, match="all_orders and tested_only, which comes last; expected one of them"
    ):
        read_scenario("mine", HEAD + "all_orders = true\n" + TRAINED + TESTED, "mine.toml")


def test_a_test_set_is_tested_whole(toy):
    data = load_task("sis", toy["sis"])
    assert data.rows == {"train": 0, "validation": 0, "test": 10}
    # Seven of ten follow; shortcuts that need training have none.
    assert scores(data.train, data.test) == {"majority": 0.7}
    assert set(data.test["kind"]) == {""}


def test_nothing_is_trained_on_it(toy, scenario, tiny_encoder_folder, tmp_path):
    result, rows, _ = toy_run(
        toy, tiny_encoder_folder, tmp_path, "fine_tune", scenario, curve=True, audit=True
    )
    assert result.tasks == ["mnli", "wikidata", "sis"]
    assert result.trained_tasks == ["mnli", "wikidata"]
    assert result.sources["sis"].rows.model_dump() == {"train": 0, "validation": 10, "test": 10}
    assert [len(losses) for losses in result.loss] == [12, 12, 0]
    # The row after it is the row before it, and what was lost of MNLI is what training on Wikidata cost.
    assert result.matrix[3] == result.matrix[2]
    assert result.final_macro == pytest.approx((result.final["mnli"] + result.final["wikidata"]) / 2)
    assert set(result.forgetting) == {"mnli"}
    assert result.forgetting["mnli"] == pytest.approx(result.matrix[1][0] - result.matrix[2][0])
    assert result.figures["bwt"] == pytest.approx(result.matrix[2][0] - result.matrix[1][0])
    assert result.majority["sis"] == 0.7
    assert sum(row["task"] == "sis" for row in rows) == 10
    assert result.by_group["sis"][3]["called asymmetric"].n == 10
    # Settings are chosen by what was trained on.
    chosen_by = (result.validation["mnli"] + result.validation["wikidata"]) / 2
    assert macro_validation(result) == pytest.approx(chosen_by)
    assert any(line.startswith("Nothing was trained on sis: ") for line in answer_lines([result]))


def test_without_it_the_others_are_the_same(toy, scenario, tiny_encoder_folder, tmp_path):
    """The law: a test changes nothing of what is trained."""
    tested, _, _ = toy_run(toy, tiny_encoder_folder, tmp_path, "knn_fixed", scenario)
    alone, _, _ = toy_run(toy, tiny_encoder_folder, tmp_path, "knn_fixed")
    assert [row[:2] for row in tested.matrix[:3]] == alone.matrix
    assert tested.loss[:2] == alone.loss
    assert tested.forgetting == alone.forgetting
    assert tested.figures == alone.figures


def test_what_a_later_task_gave_an_earlier_one_is_negative_forgetting():
    matrix = AnswerMatrix()
    for row, accuracies in enumerate([(0.5, 0.5, 0.5), (0.7, 0.5, 0.5), (0.75, 0.9, 0.5)]):
        for task, accuracy in enumerate(accuracies):
            matrix.fill(row, task, accuracy)
        matrix.predictions.append([])
        matrix.scores.append([])
    matrix.repeat_row(is_learned=False)
    assert Forgetting(matrix).result() == {0: pytest.approx(-0.05)}


def test_shortcuts_are_trained_on_all_pairs_before_it(toy, scenario, tiny_encoder_folder, tmp_path):
    config = toy_config(toy, tiny_encoder_folder, tmp_path, "fine_tune", scenario, shots=8, audit=True)
    plan = prepare(config)
    *trained, tested = plan.tasks
    parts = [training_part(task, config, 0) for task in trained]
    assert len(parts[1]) == 8
    assert training_part(tested, config, 0)["id"][:] == [*parts[0]["id"][:], *parts[1]["id"][:]]
    assert plan.audits["sis"].shortcuts == scores(stacked(parts), tested.test)


def test_one_trained_task_is_no_stream(toy, tiny_encoder_folder, tmp_path):
    path = tmp_path / "one.toml"
    path.write_text(HEAD + '[[experience]]\ntask = "mnli"\n' + TESTED, "utf-8")
    result, _, _ = toy_run(toy, tiny_encoder_folder, tmp_path, "knn_fixed", str(path))
    assert result.forgetting == {}
    assert result.new_task == "mnli"
    for changes, message in [
        ({"protocol": "retrain"}, "--protocol retrain: scenario .* expected an NLI task"),
        ({"relearn": True}, "--relearn: scenario .* has one task, which nothing follows"),
        ({"shots": 8}, "--shots: scenario .* has no task with shots"),
        ({"draw": "natural"}, "--draw: scenario .* has no task with shots"),
        ({"form": "delexicalised"}, "--form: scenario .* has no task of symmetric relations"),
        ({"sizes": {"sis": 5}}, "--size sis=5: scenario .* only tests sis"),
    ]:
        with pytest.raises(ContsymError, match=message):
            prepare(toy_config(toy, tiny_encoder_folder, tmp_path, "fine_tune", str(path), **changes))


def test_a_task_with_training_pairs_is_tested_on_its_test_part(tiny_encoder_folder, tmp_path):
    path = tmp_path / "wordnet.toml"
    path.write_text(HEAD + TRAINED + '[[experience]]\ntask = "wordnet"\ntested_only = true\n', "utf-8")
    rows = relation_rows()
    sources = {
        "wikidata": str(write_task(tmp_path / "a", rows, 64)),
        "wordnet": str(write_task(tmp_path / "b", rows, 20)),
    }
    result, _, _ = toy_run(sources, tiny_encoder_folder, tmp_path, "knn_fixed", str(path), shots=8)
    assert result.n_test == {"wikidata": 64, "wordnet": 20}
    assert not result.sources["wordnet"].few_shot
    assert result.new_task == "wikidata"


def test_the_bundled_sentences_have_the_published_majority():
    data = load_task("sis", "bundled")
    assert scores(data.train, data.test) == {"majority": 0.7225}
    assert len(set(data.test["relation"])) == 40
    assert find_task("sis").default_source == "bundled"
    assert find_scenario("wikidata_to_natural_sentences").n_trained == 1


def test_a_pair_of_a_task_of_its_own_keeps_its_kind(tmp_path):
    """The kind of a symmetric relation is that of its label; of another task's pairs it says what it likes."""
    path = tmp_path / "pairs.jsonl"
    row = {**nli_rows(1)[0], "relation": "is near", "kind": "antisymmetric"}
    path.write_text(json.dumps(row) + "\n", "utf-8")
    assert load_task("fewrel_pairs", str(path)).test["kind"][:] == ["antisymmetric"]
