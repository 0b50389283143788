"""The path integral of synaptic intelligence, by hand."""

import torch

from contsym.models.path_integral import importance, lowered, penalty


def test_a_small_step_lowers_a_loss_by_what_its_weights_are_credited_with():
    def loss(w):
        return (w[0] ** 2 + w[0] * w[1]).double()

    w = torch.tensor([1.0, 2.0], dtype=torch.float64)
    after = w + torch.tensor([1e-6, -3e-6], dtype=torch.float64)
    credit = lowered(torch.tensor([4.0, 1.0], dtype=torch.float64), w, after)
    assert torch.allclose(credit, torch.tensor([-4e-6, 3e-6], dtype=torch.float64))
    assert abs(float(loss(w) - loss(after) - credit.sum())) < 1e-11


def test_importance_and_penalty():
    path, moved = torch.tensor([0.5, 0.0, -1.0]), torch.tensor([0.5, 0.0, 1.0])
    assert importance(path, moved, 0.25).tolist() == [1.0, 0.0, 0.0]
    parts = [
        (torch.tensor([2.0, 1.0]), torch.tensor([1.0, 3.0]), torch.tensor([0.0, 1.0])),
        (torch.tensor([[4.0]]), torch.tensor([[0.5]]), torch.tensor([[0.0]])),
    ]
    assert float(penalty(parts)) == 2 + 4 + 1
