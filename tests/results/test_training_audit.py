"""Verdicts of the audit of training, on answers that are made up."""

import numpy as np
import pytest

from contsym.checked import check
from contsym.errors import ContsymError
from contsym.results.training_audit import (
    AUDIT,
    Answers,
    TrainingAudit,
    as_plain,
    judge,
    read_audit,
    sentence,
    write_audit,
)

N = 80
E, C = 0, 2


def answers(labels, before, after, twin, known=1.0):
    return Answers(labels=labels, before=before, after=after, twin=twin, known=known)


def rule(after=None, twin=None, known=1.0):
    """A rule whose label is one; answered correctly before."""
    labels = [E] * N
    return answers(labels, labels, after or labels, twin or labels, known)


def task(after, twin):
    labels = [E, C] * (N // 2)
    return answers(labels, [E] * N, after, twin)


def audit(the_task, rules, seed=0):
    return TrainingAudit(
        format=1, key=f"key{seed}", strategy="mine", seed=seed, labels=["entailment", "neutral", "contradiction"],
        new_task="wikidata", task=the_task, task_shift=[0.0, 0.0, 0.0], rules=rules, rules_shift=[0.0, 0.0, 0.0],
        sources={"bundled": "0" * 64},
    )  # fmt: skip


RIGHT, ALL_C = [E, C] * (N // 2), [C] * N


def test_a_method_that_learns_and_keeps():
    found = judge([audit(task(RIGHT, ALL_C), {"negation": rule()}, seed) for seed in range(3)])
    assert (found.verdict, found.task.verdict, found.rules[0].verdict) == ("learned", "learned", "unchanged")
    assert found.task.change.difference == 0.5
    assert sentence(found) == (
        "learned: 1.000 on wikidata; the model before, with its best shift of the labels, has 0.500; none of the 1 "
        "rules that the encoder knew before is answered worse"
    )


def test_answers_of_the_twin_are_a_label_bias():
    found = judge([audit(task(ALL_C, ALL_C), {"negation": rule(after=ALL_C, twin=ALL_C)})])
    assert (found.verdict, found.task.verdict) == ("label bias", "label bias")
    assert found.task.kappa == 1.0
    assert found.rules[0].verdict == "label bias"
    assert found.rules[0].explained == 1.0


def test_a_rule_that_is_hit_spoils_a_task_that_is_learned():
    """One of three known rules is hit: undecided; two: a label bias. One that was not known has no say."""
    hit, unknown = rule(after=ALL_C, twin=ALL_C), rule(after=ALL_C, twin=ALL_C, known=0.9)
    one = judge([audit(task(RIGHT, ALL_C), {"a": hit, "b": rule(), "c": rule(), "d": unknown})])
    assert (one.verdict, len(one.known)) == ("undecided", 3)
    assert one.rules[3].verdict == "not known before"
    two = judge([audit(task(RIGHT, ALL_C), {"a": hit, "b": hit, "c": rule()})])
    assert two.verdict == "label bias"


def test_a_loss_that_the_twin_does_not_explain_is_lost():
    found = judge(
        [audit(task(RIGHT, ALL_C), {"a": rule(after=[1] * N, twin=ALL_C), "b": rule(), "c": rule()})]
    )
    assert found.rules[0].verdict == "lost"
    assert found.verdict == "undecided"


def test_few_changed_answers_are_kept_or_undecided():
    """2 of 80 answers: the interval ends at -6 points. 1 of 80: at -4."""
    two, one = [C, C] + [E] * (N - 2), [C] + [E] * (N - 1)
    found = judge([audit(task(RIGHT, ALL_C), {"two": rule(after=two), "one": rule(after=one)})])
    verdicts = {each.name: each.verdict for each in found.rules}
    assert verdicts == {"two": "undecided", "one": "kept"}
    assert found.verdict == "learned"


def test_nothing_that_differs_is_unchanged():
    found = judge([audit(task([E] * N, ALL_C), {"negation": rule()})])
    assert found.verdict == found.task.verdict == "unchanged"


def test_it_is_stored_and_read(tmp_path):
    made = audit(task(RIGHT, ALL_C), {"negation": rule()})
    assert read_audit(tmp_path) is None
    write_audit(tmp_path, made)
    assert read_audit(tmp_path) == made
    assert as_plain(judge([made]))["rules"][0]["verdict"] == "unchanged"
    path = tmp_path / AUDIT
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(ContsymError, match="this version reads format 1"):
        read_audit(tmp_path)


def test_answers_of_different_length_are_refused(tmp_path):
    plain = audit(task(RIGHT, ALL_C), {}).model_dump()
    plain["task"]["after"] = plain["task"]["after"][:-1]
    with pytest.raises(ContsymError, match="80 answers of each kind"):
        check(TrainingAudit, plain, tmp_path / "audit.json")


def test_seeds_are_paired():
    """Two seeds that differ: means over both, one kappa each."""
    found = judge([audit(task(RIGHT, ALL_C), {}), audit(task(ALL_C, ALL_C), {}, seed=1)])
    assert found.seeds == (0, 1)
    assert found.task.after == pytest.approx(np.mean([1.0, 0.5]))
    assert found.verdict == "undecided"
