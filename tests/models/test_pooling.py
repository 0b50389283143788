"""Every pooling by hand, whichever side is padded."""

import pytest
import torch

from contsym.models.pooling import MODES, pool

# Three tokens, one padded place before and one after; what stands there must not count.
STATES = torch.tensor([[[99.0, 99.0], [4.0, 1.0], [2.0, 3.0], [6.0, -1.0], [99.0, 99.0]]])
MASK = torch.tensor([[0, 1, 1, 1, 0]])
BY_HAND = {
    "mean": [4.0, 1.0],
    "cls": [4.0, 1.0],
    "last": [6.0, -1.0],
    "max": [6.0, 3.0],
    "mean_sqrt_len": [12 / 3**0.5, 3 / 3**0.5],
    # (1 * 4 + 2 * 2 + 3 * 6) / 6 and (1 * 1 + 2 * 3 - 3 * 1) / 6
    "weighted_mean": [26 / 6, 4 / 6],
}


@pytest.mark.parametrize("mode", MODES)
def test_a_text_by_hand(mode):
    torch.testing.assert_close(pool(STATES, MASK, (mode,)), torch.tensor([BY_HAND[mode]]))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize("after", [0, 2])
def test_padding_on_either_side_changes_nothing(mode, before, after):
    states = torch.nn.functional.pad(STATES[:, 1:4], (0, 0, before, after), value=77.0)
    mask = torch.nn.functional.pad(MASK[:, 1:4], (before, after))
    assert torch.equal(pool(states, mask, (mode,)), pool(STATES, MASK, (mode,)))


@pytest.mark.parametrize("mode", MODES)
def test_a_text_without_tokens_gives_zeros_and_no_gradient(mode):
    states = torch.ones(2, 3, 4, requires_grad=True)
    vectors = pool(states, torch.tensor([[0, 0, 0], [1, 1, 0]]), (mode,))
    assert vectors[0].tolist() == [0, 0, 0, 0]
    vectors.sum().backward()
    assert states.grad[0].abs().sum() == 0
    assert states.grad[1].abs().sum() > 0


def test_one_token_is_its_own_vector_under_every_pooling():
    states = torch.tensor([[[3.0, -5.0], [9.0, 9.0]]])
    for mode in MODES:
        assert pool(states, torch.tensor([[1, 0]]), (mode,)).tolist() == [[3.0, -5.0]]


def test_several_modes_stand_one_behind_the_other():
    assert pool(STATES, MASK, ("cls", "max")).tolist() == [[4.0, 1.0, 6.0, 3.0]]


def test_a_prompts_tokens_are_left_out():
    # Of the tokens (4, 1), (2, 3), (6, -1) the first is the prompt's.
    assert pool(STATES, MASK, ("mean",), n_skipped=1).tolist() == [[4.0, 1.0]]
    assert pool(STATES, MASK, ("cls",), n_skipped=1).tolist() == [[2.0, 3.0]]
    # The others keep their weights, 2 and 3: (2 * 2 + 3 * 6) / 5 and (2 * 3 - 3 * 1) / 5.
    torch.testing.assert_close(
        pool(STATES, MASK, ("weighted_mean",), n_skipped=1), torch.tensor([[22 / 5, 3 / 5]])
    )
