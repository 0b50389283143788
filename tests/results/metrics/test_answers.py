"""Calibration, macro-F1 and label shares, by hand and beside slow twins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contsym.results.metrics.answers import calibration_error, label_shares, macro_f1, probabilities


def test_logits_by_softmax_and_votes_by_their_share():
    # e^0 : e^-log 3 = 3 : 1; a constant of the pair changes nothing, nor does a label that is out of the question.
    logits = np.array([[0.0, -np.log(3), -65504.0], [7.0, 7 - np.log(3), -65504.0]])
    assert probabilities(logits, "logits") == pytest.approx(np.array([[0.75, 0.25, 0.0]] * 2))
    # Two votes against one.
    assert probabilities(np.array([[2.0, 0.0, 1.0]]), "votes") == pytest.approx(np.array([[2 / 3, 0, 1 / 3]]))


def test_half_precision_of_a_result_is_enough():
    scores = np.array([[0.0, -1.0, -2.5], [-0.3, 0.0, -9.0]])
    halved = probabilities(scores.astype(np.float16), "logits")
    # Below 10 a float16 is off by at most 2^-9 * 8, and a probability by at most a quarter of that.
    assert halved == pytest.approx(probabilities(scores, "logits"), abs=2**-8)


def test_calibration_error_by_hand():
    # Bins of 1/15: .70 and .72 in one ((.667, .733]), one of two correct: |1 - 1.42| = .42; .95 in the last, correct:
    # .05. (.42 + .05) / 3.
    found = calibration_error(np.array([0.70, 0.72, 0.95]), np.array([True, False, True]))
    assert found == pytest.approx(0.47 / 3)


def test_calibration_error_at_its_ends():
    sure = np.ones(4)
    assert calibration_error(sure, np.ones(4, dtype=bool)) == 0
    assert calibration_error(sure, np.zeros(4, dtype=bool)) == 1
    # Half are correct of answers with a confidence of one half.
    assert calibration_error(np.full(4, 0.5), np.array([True, False] * 2)) == 0


def test_a_bin_has_its_upper_end_and_not_its_lower():
    # 3/15 ends the third bin: with 0.19 in one bin, the gaps +.8 and -.19 meet.
    assert calibration_error(np.array([0.2, 0.19]), np.array([True, False])) == pytest.approx(0.61 / 2)
    # 0.21 is in the next bin, and the gaps add up.
    assert calibration_error(np.array([0.2, 0.21]), np.array([True, False])) == pytest.approx(1.01 / 2)


@given(st.lists(st.tuples(st.floats(0.01, 1), st.booleans()), min_size=1, max_size=60))
def test_calibration_error_beside_its_slow_twin(answers):
    total = 0.0
    for m in range(15):
        inside = [(c, right) for c, right in answers if m / 15 + 1e-13 < c <= (m + 1) / 15 + 1e-13]
        if inside:
            accuracy = sum(right for _, right in inside) / len(inside)
            confidence = sum(c for c, _ in inside) / len(inside)
            total += len(inside) / len(answers) * abs(accuracy - confidence)
    confidences, is_correct = map(np.array, zip(*answers, strict=True))
    assert calibration_error(confidences, is_correct) == pytest.approx(total, abs=1e-9)


def test_macro_f1_by_hand():
    # Label 0: 2 right, 1 missed, 1 too many: 4 / 6. Label 2: 1 right, 1 missed, none too many: 2 / 3. Label 1 is no
    # label of these pairs, and answering it is an error of the others alone.
    labels, predicted = np.array([0, 0, 0, 2, 2]), np.array([0, 0, 1, 0, 2])
    assert macro_f1(predicted, labels) == pytest.approx((4 / 6 + 2 / 3) / 2)


def test_macro_f1_of_one_answer_for_all():
    # F1 of the label answered: 2 * 3 / (4 + 3); of the other: 0.
    assert macro_f1(np.zeros(4, dtype=int), np.array([0, 0, 0, 2])) == pytest.approx(6 / 7 / 2)
    assert macro_f1(np.array([0, 2]), np.array([0, 2])) == 1


def test_label_shares_count_labels_that_never_occur():
    assert label_shares(np.array([0, 2, 2, 2]), 3) == [0.25, 0, 0.75]
