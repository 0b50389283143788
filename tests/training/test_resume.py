"""A run that was ended goes on under its name; one that has ended, or that another process is at, does not."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from contsym.config import RunConfig
from contsym.results import store
from contsym.training import resume
from tests.stored_results import store_run


@dataclass(frozen=True)
class StandIn:
    """What `going_on` asks of a plan."""

    config: RunConfig
    name: str

    @property
    def folder(self) -> Path:
        return store.runs_folder(self.config.output) / self.name


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    """Keys that depend on the strategy and the seed."""
    monkeypatch.setattr("contsym.training.plan.key_of", lambda plan, seed: f"{plan.config.strategy}/{seed}")


def plan(output, name, strategy="knn_fixed", seeds=(0, 1)):
    return StandIn(RunConfig(strategy, "wikidata_only", seeds=seeds, output=output), name)


def name_given(made):
    with resume.going_on([made]) as named:
        return [each.name for each in named]


class Killed(BaseException):
    pass


def leave(made):
    """Begin a run and end it in the middle."""
    with pytest.raises(Killed), resume.going_on([made]):
        raise Killed


def test_a_run_that_was_ended_goes_on_and_one_that_has_ended_does_not(tmp_path):
    leave(plan(tmp_path, "first"))
    folder = store_run(tmp_path, "first", [0])
    (folder / ".partial-seed-1-00").mkdir()
    (folder / "seed-0" / ".partial-tracked.json-00").touch()
    second = plan(tmp_path, "second")
    with resume.going_on([second]) as (going,):
        assert going.name == "first"
        assert resume.n_stored(going) == 1
        assert not list(folder.rglob(".partial-*"))
    assert name_given(plan(tmp_path, "third")) == ["third"]
    assert not list((tmp_path / "begun").glob("*.json"))


@pytest.mark.parametrize("other", [{"strategy": "fine_tune"}, {"seeds": (0,)}, {"seeds": (1, 0)}])
def test_another_run_is_none_to_go_on_with(other, tmp_path):
    leave(plan(tmp_path, "first"))
    assert name_given(plan(tmp_path, "second", **other)) == ["second"]
    assert name_given(plan(tmp_path, "third")) == ["first"]


def test_what_another_process_is_at_is_left_to_it(tmp_path):
    with resume.going_on([plan(tmp_path, "first")]):
        assert name_given(plan(tmp_path, "second")) == ["second"]
        (record,) = (tmp_path / "begun").glob("*.json")
        assert json.loads(record.read_text("utf-8"))["run"] == "first"
    assert not record.exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1, "run": "../../elsewhere"}', '{"format": 99, "run": "x"}',
                                  '{"format": 1, "run": ".."}', '{"format": 1, "run": 3}'])  # fmt: skip
def test_a_record_that_is_none_is_written_anew(text, tmp_path):
    leave(plan(tmp_path, "first"))
    (record,) = (tmp_path / "begun").glob("*.json")
    record.write_text(text, "utf-8")
    assert name_given(plan(tmp_path, "second")) == ["second"]


def test_several_orders_each_go_on_where_they_were(tmp_path):
    plans = [plan(tmp_path, "a"), plan(tmp_path, "b", "fine_tune")]
    with pytest.raises(Killed), resume.going_on(plans):
        raise Killed
    again = [plan(tmp_path, "c"), plan(tmp_path, "d", "fine_tune")]
    with resume.going_on(again) as named:
        assert [each.name for each in named] == ["a", "b"]
