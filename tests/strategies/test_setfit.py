"""SetFit: when its regression is fitted, and on which pairs."""

import pytest
import torch

from contsym.strategies.setfit import SetFit
from tests.runs import one_seed


def run(toy, encoder, tmp_path, scenario="mnli_then_wikidata", **settings):
    short = {"settings": {"steps": "12", **settings}, "audit": False}
    return one_seed(toy, encoder, tmp_path, "setfit", scenario, **short)


def test_untrained_it_is_a_regression_on_the_first_experience(toy, tiny_encoder_folder, tmp_path):
    result, _, _ = run(toy, tiny_encoder_folder, tmp_path)
    # The toy's NLI is read off one word, and the encoder is random: nothing needs to be trained for it.
    assert result.matrix[0][0] >= 0.9


def test_which_pairs_the_regression_sees_does_not_touch_the_encoder(
    toy,
    tiny_encoder_folder,
    tmp_path,
):
    (current, _, seen), (everything, _, all_seen) = (
        run(toy, tiny_encoder_folder, tmp_path, memory=memory) for memory in ("current", "all")
    )
    assert current.loss == everything.loss
    assert torch.equal(seen["view.after"], all_seen["view.after"])
    # Wikidata has no neutral pair: a regression on it alone never answers it, one on both does.
    assert seen["bias"][1] == -1
    assert not seen["weight"][1].any()
    assert all_seen["weight"][1].any()
    assert everything.final["mnli"] > current.final["mnli"]


@pytest.mark.parametrize(("embedding", "width"), [("features", 128), ("division", 32)])
def test_what_is_stored_is_the_regression(embedding, width, toy, tiny_encoder_folder, tmp_path):
    result, _, tensors = run(toy, tiny_encoder_folder, tmp_path, "wikidata_only", embedding=embedding)
    assert tensors["weight"].shape == (3, width)
    assert result.cost.stored_bytes == 4 * 3 * (width + 1)


def test_a_point_of_the_trajectory_takes_a_part_of_the_past():
    from datasets import Dataset

    part = Dataset.from_dict({"label": list(range(10))})

    class Fake:
        past, current = [part], part

        def __init__(self, memory):
            self.settings = SetFit.Settings(memory=memory)

    def found(memory, limit):
        return [len(p) for p in SetFit._regression_pairs(Fake(memory), limit)]

    assert found("all", None) == [10, 10]
    assert found("all", 5) == [5, 10]
    assert found("current", None) == [10]
    Fake.current = None
    assert found("current", None) == [10]
    Fake.past = []
    assert found("current", None) == []


def test_the_trajectory_is_of_a_regression_on_the_pairs_seen(toy, tiny_encoder_folder, tmp_path):
    result, _, _ = run(toy, tiny_encoder_folder, tmp_path)
    passing = [p.accuracies[1] for p in result.trajectory if p.experience == 1 and p.n_steps]
    # The regression that NLI left does not answer Wikidata; one fitted at the end alone would not yet.
    assert len(passing) > 1
    assert min(passing) >= 0.9 > result.matrix[1][1]
