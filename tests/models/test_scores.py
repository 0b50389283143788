"""Scores as results keep them."""

import pytest
import torch

from contsym.errors import ContsymError
from contsym.models.scores import as_stored, check_scores
from tests.errors import message_of


def test_logits_are_kept_less_the_largest_of_their_pair():
    stored = as_stored(torch.tensor([[1000.25, 1000.0, 999.0], [-2.0, -1.0, -3.0]]), "logits")
    assert stored.dtype == torch.float16
    # At 1000 alone, float16 has steps of a half.
    assert stored.tolist() == [[0, -0.25, -1.25], [-1, 0, -2]]


def test_a_label_that_is_out_of_the_question_stays_finite():
    least = torch.finfo(torch.float32).min
    assert as_stored(torch.tensor([[0.5, least]]), "logits").tolist() == [[0, -65504]]
    assert as_stored(torch.tensor([[0.5, float("-inf")]]), "logits").tolist() == [[0, -65504]]


def test_votes_are_kept_as_they_are():
    assert as_stored(torch.tensor([[1.75, 0.0, 0.5]]), "votes").tolist() == [[1.75, 0, 0.5]]


@pytest.mark.parametrize("scores", [[float("nan"), 0.0], [float("inf"), 0.0]])
def test_scores_without_probabilities_are_refused(scores):
    expected = "the logits of 1 of 2 pairs give no probabilities; expected finite scores"
    assert (
        message_of(check_scores, as_stored(torch.tensor([scores, [0.0, 1.0]]), "logits"), "logits")
        == expected
    )


@pytest.mark.parametrize("scores", [[-0.5, 1.0], [0.0, 0.0], [float("nan"), 1.0]])
def test_distances_are_no_votes(scores):
    with pytest.raises(ContsymError, match=r"^the votes of 1 of 1 pairs .* or score_kind = 'logits'$"):
        check_scores(as_stored(torch.tensor([scores]), "votes"), "votes")
