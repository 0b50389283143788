import itertools

import pytest
import torch

from contsym.models.routing import evenly, expected_nearest, routes, routing_features


def test_expected_nearest_on_paper():
    # Draws of two from (1, 2, 3): {1, 2}, {1, 3}, {2, 3} have their nearest at 1, 1 and 2.
    distances = torch.tensor([[3.0, 1.0, 2.0]])
    assert expected_nearest(distances, 2).item() == pytest.approx(4 / 3)
    assert expected_nearest(distances, 1).item() == pytest.approx(2)
    assert expected_nearest(distances, 3).item() == 1


@pytest.mark.parametrize("m", range(1, 8))
def test_expected_nearest_is_the_mean_over_all_draws(m):
    distances = torch.rand(5, 7, generator=torch.Generator().manual_seed(0))
    for row, found in zip(distances.tolist(), expected_nearest(distances, m).tolist(), strict=True):
        draws = [min(draw) for draw in itertools.combinations(row, m)]
        assert found == pytest.approx(sum(draws) / len(draws))


@pytest.mark.parametrize("m", [1, 16, 9_000, 20_000])
def test_weights_of_many_points_sum_to_one(m):
    assert expected_nearest(torch.full((1, 20_000), 0.25), m).item() == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize("m", [0, 4])
def test_a_draw_of_more_than_there_are_is_refused(m):
    with pytest.raises(ValueError, match=f"a draw of {m} from 3 stored points; expected between 1 and 3"):
        expected_nearest(torch.zeros(1, 3), m)


def test_many_stored_points_do_not_outvote_few():
    many = torch.tensor([[0.9]] + [[10.0]] * 99)
    few = torch.tensor([[1.5]])
    query = torch.zeros(1, 1)
    # The nearest of all is among the many by chance; one drawn at random is 9.909 away in the mean.
    assert torch.cdist(query, many).min() < torch.cdist(query, few).min()
    assert routes(query, [many, few], 16).tolist() == [1]


def test_stored_twice_is_no_nearer_where_one_is_drawn():
    one, other = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.6]])
    query = torch.zeros(3, 1)
    assert routes(query, [one, other], 1).equal(routes(query, [one.repeat(50, 1), other], 1))


def test_a_tie_goes_to_the_earlier_experience():
    stored = [torch.tensor([[1.0]]), torch.tensor([[-1.0]]), torch.tensor([[1.0]])]
    assert routes(torch.zeros(1, 1), stored, 16).tolist() == [0]


def test_features_do_not_know_direction():
    p, h = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0)).unbind()
    assert torch.equal(routing_features(p, h), routing_features(h, p))
    assert torch.allclose(routing_features(p, h).norm(dim=1), torch.ones(4))


def test_features_of_a_zero_vector_are_zero():
    assert torch.equal(routing_features(torch.zeros(1, 3), torch.zeros(1, 3)), torch.zeros(1, 6))


def test_evenly_spaced_rows():
    assert evenly(10, 4) == [0, 2, 5, 7]
    assert evenly(3, 4) == [0, 1, 2]
    assert evenly(0, 4) == []
