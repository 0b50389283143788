"""The model of a result: nothing is written that is not in it, and nothing is altered."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from contsym import checked
from contsym.errors import ContsymError
from contsym.results import store
from contsym.results.schema import SeedResult, json_schema
from tests.stored_results import make_result, plain_result


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": [[0.5], [float("nan")]]}, "loss.1.0 is nan; expected a finite number"),
        ({"cost": {"experiences": []}}, "cost.trajectory_seconds is missing; expected a stored result"),
        ({"notes": [3]}, "notes.0 is 3; expected a valid string"),
        ({"mine": 3}, "mine is unknown; expected what a stored result holds"),
        ({"settings": {"k": [float("inf")]}}, "is inf; expected a finite number"),
    ],
)
def test_what_could_not_be_read_again_is_no_result(changes, message, tmp_path):
    with pytest.raises(ContsymError, match=re.escape(message)):
        checked.check(SeedResult, {**plain_result(), **changes}, tmp_path / store.RESULT)


def test_a_result_is_never_altered():
    result = make_result()
    with pytest.raises(ValidationError, match="frozen"):
        result.seed = 3
    with pytest.raises(ValidationError, match="frozen"):
        result.cost.stored_bytes = 3


def test_the_json_schema_in_the_docs_is_that_of_the_model():
    """Else: contsym docs"""
    assert (Path(__file__).parents[2] / "docs" / "result.schema.json").read_text("utf-8") == json_schema()
