"""Run settings, stored results and the registry."""

import shutil

import pytest

from contsym.config import RunConfig, parse_assignments, parse_seeds
from contsym.errors import ContsymError, SettingError
from contsym.files import to_json, write_whole
from contsym.results import store
from contsym.results.summary import as_json, summarise
from contsym.scenarios.catalog import scenarios
from contsym.strategies.catalog import read_card, strategies
from tests.stored_results import make_result


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("3", (0, 1, 2)),
        ("0,1,2", (0, 1, 2)),
        ("3-5", (3, 4, 5)),
        ("7, 1-2", (7, 1, 2)),
        ("0,", (0,)),
        ("3-3", (3,)),
    ],
)
def test_seeds(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "0", ",", "1,,", "-1", "1-", "1.5", "0-99999"])
def test_seeds_that_are_not_understood(text):
    with pytest.raises(SettingError, match=r"^--seeds "):
        parse_seeds(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": ()}, "--seeds is empty; expected numbers such as 0,1,2"),
        ({"seeds": (1, 1)}, "--seeds 1,1 names one twice; expected each once"),
        ({"shots": 0}, "--shots 0 is too few; expected at least 2"),
        ({"sizes": {"mnli": 1}}, "--mnli-size 1 is too few; expected at least 3"),
        ({"target": 0.0}, "--target 0.0 is out of range; expected 0 < target <= 1"),
    ],
)
def test_settings_out_of_range(changes, message):
    with pytest.raises(SettingError) as raised:
        RunConfig(strategy="knn_fixed", scenario="wikidata_only", **changes)
    assert str(raised.value) == message


def test_assignments():
    assert parse_assignments(("k=5", "memory = stale", "x=a=b")) == {"k": "5", "memory": "stale", "x": "a=b"}
    with pytest.raises(SettingError, match=r"^--set k is given twice; give it once$"):
        parse_assignments(("k=5", "k=6"))


# -- results --


def test_a_folder_appears_atomically(tmp_path):
    def fill(folder):
        (folder / "a").write_text("a")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_whole(tmp_path / "results" / "key", fill)
    assert list((tmp_path / "results").iterdir()) == []


def test_a_result_is_read_back_as_written(tmp_path):
    result = make_result(seed=3)
    assert not store.is_stored(tmp_path, result.key)
    folder = store.write_result(tmp_path, result, [{"id": "a,b", "label": '"x"'}], {})
    assert folder == tmp_path / "results" / result.key
    assert store.is_stored(tmp_path, result.key)
    assert store.read_result(folder) == store.read_result(folder / store.RESULT) == result
    assert (folder / "predictions.csv").read_text() == 'id,label\n"a,b","""x"""\n'


def test_the_first_of_two_processes_that_store_a_result_wins(tmp_path):
    first = store.write_result(tmp_path, make_result(seconds=1.0), [{"id": "a"}], {})
    assert store.write_result(tmp_path, make_result(seconds=2.0), [{"id": "a"}], {}) == first
    assert store.read_result(first).seconds == 1.0
    assert not list(tmp_path.rglob(".partial-*"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}'])
def test_a_result_of_another_format_is_refused(tmp_path, text):
    (tmp_path / store.RESULT).write_text(text)
    with pytest.raises(ContsymError, match=r"result\.json: "):
        store.read_result(tmp_path)


def test_a_copied_result_does_not_pass_for_that_of_another_key(tmp_path):
    one, other = (
        store.write_result(tmp_path, make_result(key=key * 64), [{"id": "a"}], {}) for key in ("a", "b")
    )
    shutil.copy(one / store.RESULT, other / store.RESULT)
    with pytest.raises(ContsymError) as raised:
        store.read_result(other)
    assert str(raised.value) == (
        f"{other / store.RESULT}: the result with the key aaaaaaaaaaaa, in the folder of the key bbbbbbbbbbbb; expected the "
        "result that was stored there"
    )
    # A name of the user's own says nothing.
    shutil.copytree(one, tmp_path / "best")
    assert store.read_result(tmp_path / "best") == store.read_result(one)


def test_no_number_that_is_none_is_written():
    with pytest.raises(ValueError, match="Out of range float"):
        to_json({"loss": float("nan")})


def test_the_mean_is_over_all_seeds_and_has_the_marks_as_shares():
    learned = make_result(seed=0)
    other = make_result(seed=1, learned={"mnli": False, "wikidata": True})
    mean = summarise([learned, other])
    # 0.20 and 0.19.
    assert mean.forgetting == {"mnli": pytest.approx(0.195)}
    assert mean.learned == {"mnli": 0.5, "wikidata": 1.0}
    assert mean.above_shortcuts == {"mnli": 1.0, "wikidata": 0.0}
    assert as_json([learned], {learned.key: "abc"})["seeds"][0]["mlflow_run_id"] == "abc"


# -- registry --


def test_names_are_file_names_and_cards_are_complete():
    for name, card in strategies().items():
        assert card.name == name
        assert all((card.summary, card.source, card.trains, card.stores)), name
        assert card.summary.endswith("."), name
        assert len(card.summary) <= 110, name


def test_scenarios_name_known_tasks():
    from contsym.tasks.catalog import own_tasks

    for name, plan in scenarios().items():
        assert plan.summary, name
        assert set(plan.tasks) <= set(own_tasks()), name


def test_a_strategy_without_a_card_is_refused():
    with pytest.raises(ContsymError, match=r"^strategies/x\.py: no CARD; expected CARD = "):
        read_card("x", '"""Doc."""\nCARDS = {}\n')
    deep = "a" + ".a" * 2000
    with pytest.raises(ContsymError, match="no CARD"):
        read_card("x", f'"""Doc."""\n{deep} = {{}}\n')
