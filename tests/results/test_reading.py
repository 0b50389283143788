"""Every output names how a result counts pairs."""

import pytest

from contsym.results.reading import coarse_validation, reading
from tests.stored_results import make_result, plain_result

PLAIN = plain_result()
OPTIONS, (FIRST, LAST) = PLAIN["options"], PLAIN["cost"]["experiences"]


def result(seed=0, seen=128, steps=8, reached=True, search=None, **options):
    cost = {**PLAIN["cost"], "experiences": [FIRST, {**LAST, "pairs_seen": seen, "training_steps": steps}]}
    least = (
        {"n_distinct_pairs": seen, "n_pairs_seen": seen}
        if reached
        else dict.fromkeys(("n_distinct_pairs", "n_pairs_seen"))
    )
    efficiency = {**PLAIN["sample_efficiency"], "wikidata": least}
    return make_result(
        seed, options={**OPTIONS, **options}, cost=cost, sample_efficiency=efficiency, search=search
    )


def searched(found):
    tried = [{"n": 16, "accuracy": 0.5}]
    return {"tried": tried, "found": found, "target": 0.99, "step": 16, "most": 1600}


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ([result(steps=100)], "64 pairs, 100 steps"),
        ([result(steps=0)], "64 pairs, without gradient steps"),
        ([result(steps=3, until=0.99)], "64 pairs, 3 steps, until 0.99"),
        ([result(seen=64, one_pass=True)], "64 pairs seen once"),
        (
            [result(seen=n, one_pass=True, until=1.0) for n in (64, 48, 64)],
            "48 and 64 pairs seen once, until 1",
        ),
        (
            [result(seen=1600, one_pass=True, until=1.0, reached=False)],
            "1,600 pairs seen once, until 1 (not reached)",
        ),
        (
            [result(seen=64, one_pass=True, until=1.0, reached=is_so) for is_so in (True, False)],
            "64 pairs seen once, until 1 (not reached in 1 of 2 seeds)",
        ),
        ([result(shots="least", search=searched(64))], "least of 16, 32, ...: 64"),
        (
            [result(shots="least", search=searched(n)) for n in (64, None)],
            "least of 16, 32, ...: 64 and not reached after 1,600",
        ),
    ],
)
def test_the_reading_of_a_run_in_words(results, words):
    assert reading(results) == words


def test_a_long_stream_measures_few_pairs_of_each_task():
    """Of 20 tasks at most 51 pairs each, however many there are; of two at most 192."""
    sources = {**PLAIN["sources"], "wikidata": {**PLAIN["sources"]["wikidata"]}}
    sources["wikidata"]["rows"] = {**sources["wikidata"]["rows"], "validation": 500}
    two = result(target=0.99).model_copy(update={"sources": make_result(sources=sources).sources})
    assert coarse_validation(two) == ""
    many = two.model_copy(update={"tasks": [*two.tasks, *map(str, range(18))]})
    many = many.model_copy(
        update={"sources": {**dict.fromkeys(many.tasks, two.sources["mnli"]), **two.sources}}
    )
    assert coarse_validation(many) == (
        "51 validation pairs of wikidata cannot tell 0.99 from 0.98: one error is 0.020; expected a target of 0.98 or less, "
        "since no more than 51 are measured"
    )
