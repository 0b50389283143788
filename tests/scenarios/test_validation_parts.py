"""No pair is in two parts of an experience, whatever the scenario and the split rule, and no draw takes a validation pair."""

import itertools
import json

import pytest

from contsym.config import RunConfig
from contsym.data.schema import PARTS
from contsym.data.splits import SPLIT_RULES
from contsym.errors import DataError
from contsym.scenarios.catalog import find_scenario, scenario_runs, scenarios
from contsym.training.parts import Shared, n_training_pairs, training_part
from tests.strategy_settings import fast_and_slow
from tests.toy import nli_rows

WITHOUT = {
    ("relation", "relations_one_by_one"),
    ("phrasing", "relations_one_by_one"),
    ("relation", "long_stream"),
}
"""(rule, scenario) of which some experience has relations of one part only."""


@pytest.fixture(scope="module")
def shared():
    return Shared()


@pytest.fixture(scope="module")
def nli(tmp_path_factory):
    """SNLI and ANLI as files of one part: both a test and a validation part are made of it."""
    path = tmp_path_factory.mktemp("nli") / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in nli_rows(144)))
    return {"snli": str(path), "anli": str(path)}


@pytest.mark.parametrize("rule", fast_and_slow([None, *SPLIT_RULES], [None, "relation"], ["entity"]))
def test_parts_share_no_pair_and_draws_come_from_training_alone(rule, shared, nli):
    refused = set()
    for scenario in scenarios():
        plan = find_scenario(scenario_runs(scenario)[0])
        if plan.inputs == "single":
            continue  # no data of these tasks are at hand
        config = RunConfig("knn_fixed", plan.name, split=rule, shots=8, sources=nli)
        held_out, trained = set(), set()
        for place in range(plan.n_trained):
            try:
                task = shared.load(plan, place, config)
            except DataError:
                refused.add((rule, scenario))
                continue
            assert all(task.rows.values())
            columns = {part: pairs[:] for part, pairs in task.parts.items()}
            ids = {part: set(found["id"]) for part, found in columns.items()}
            texts = {
                part: set(zip(found["premise"], found["hypothesis"], strict=True))
                for part, found in columns.items()
            }
            for one, other in itertools.combinations(PARTS, 2):
                assert not ids[one] & ids[other], (scenario, plan.names[place], one, other)
                assert not texts[one] & texts[other], (scenario, plan.names[place], one, other)
            for draw in ("balanced", "natural"):
                chosen = RunConfig("knn_fixed", plan.name, split=rule, shots=8, draw=draw, sources=nli)
                drawn = training_part(task, chosen, 0, shared)
                assert len(drawn) == n_training_pairs(task, chosen)
                assert set(drawn["id"]) <= ids["train"]
            # The same pair in two experiences, as with and without names, is on one side in both.
            held_out |= {(task.task, pair.removesuffix("#delexicalised")) for pair in ids["validation"]}
            trained |= {(task.task, pair.removesuffix("#delexicalised")) for pair in ids["train"]}
        assert not held_out & trained, scenario
    assert refused <= WITHOUT
