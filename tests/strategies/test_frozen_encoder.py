"""Methods over a frozen encoder: it stays as it is, and what is computed does not depend on the order."""

import numpy as np
import pytest
import torch
from torch import nn

from contsym.errors import SettingError
from contsym.models.pair_model import PairModel
from contsym.strategies.catalog import load_strategy
from tests.runs import BARE, costs, one_seed
from tests.strategy_settings import fast_and_slow

COMPUTED = ["ncm", "ridge", "slda"]


class Encoder(nn.Module):
    """One layer with dropout; the tests need nothing else of an encoder."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))


@pytest.mark.parametrize(
    "strategy", fast_and_slow(["frozen_probe", *COMPUTED], ["frozen_probe", "ridge"], [])
)
def test_the_encoder_stays_as_it_is(strategy, toy, tiny_encoder_folder, tmp_path):
    short = {"settings": {"steps": "4"}, **BARE}
    _, _, tensors = one_seed(toy, tiny_encoder_folder, tmp_path, strategy, "mnli_then_wikidata", **short)
    assert torch.equal(tensors["view.before"], tensors["view.after"])


def test_a_frozen_encoder_has_no_dropout_in_training():
    frozen, trained = (PairModel(Encoder(), nn.Dropout(), joined=None) for _ in range(2))
    frozen.encoder.requires_grad_(False)
    for model in (frozen, trained):
        model.eval()
        model.train()
    assert not any(module.training for module in frozen.encoder.modules())
    assert all(module.training for module in trained.encoder.modules())
    assert frozen.head.training and frozen.training


def test_the_probe_trains_its_head_alone(toy, tiny_encoder_folder, tmp_path):
    short = {"settings": {"steps": "3"}, **BARE}
    result, _, tensors = one_seed(toy, tiny_encoder_folder, tmp_path, "frozen_probe", **short)
    n_weights = 3 * 4 * 32 + 3
    assert (
        result.cost.trained_parameters
        == n_weights
        == sum(tensors[name].numel() for name in ("linear.weight", "linear.bias"))
    )
    assert result.cost.stored_bytes == 4 * n_weights


def test_the_probes_default_rate_is_of_a_head():
    assert load_strategy("frozen_probe").Settings().learning_rate == 1e-3


@pytest.mark.parametrize("strategy", fast_and_slow(COMPUTED))
def test_the_order_of_the_tasks_does_not_matter(strategy, toy, tiny_encoder_folder, tmp_path):
    there, back = (
        one_seed(toy, tiny_encoder_folder, tmp_path, strategy, scenario, **BARE)
        for scenario in ("mnli_then_wikidata", "wikidata_then_mnli")
    )
    assert there[0].final == back[0].final
    names = [name for name in there[2] if not name.startswith(("view.", "scores."))]
    # float64 sums in another order.
    assert names
    assert all(np.allclose(there[2][name], back[2][name], rtol=1e-6, atol=1e-9) for name in names)


@pytest.mark.parametrize(
    ("strategy", "settings", "n_bytes"),
    [
        ("ncm", {}, 8 * (3 * 128 + 3)),
        ("slda", {}, 8 * (128 * 128 + 2 * 3 * 128 + 2 * 3)),
        ("ridge", {}, 8 * (128 * 128 + 2 * 3 * 128 + 128 + 2 * 3)),
        ("ridge", {"projection": "50"}, 8 * (50 * 50 + 2 * 3 * 50 + 50 + 2 * 3) + 4 * 128 * 50),
    ],
)
def test_stored_bytes_are_the_sums_and_do_not_grow(
    strategy,
    settings,
    n_bytes,
    toy,
    tiny_encoder_folder,
    tmp_path,
):
    result, _, _ = one_seed(
        toy, tiny_encoder_folder, tmp_path, strategy, "mnli_then_wikidata", settings=settings, **BARE
    )
    assert costs(result, "stored_bytes_after") == [n_bytes, n_bytes]
    assert result.cost.stored_bytes == n_bytes


def test_experiences_weigh_alike_or_pairs_do(toy, tiny_encoder_folder, tmp_path):
    found = {}
    for weigh in ("experiences", "pairs"):
        _, _, found[weigh] = one_seed(
            toy,
            tiny_encoder_folder,
            tmp_path,
            "ridge",
            "mnli_then_wikidata",
            settings={"weigh": weigh},
            **BARE,
        )
    # 60 NLI pairs, 20 of a label, and 200 relation pairs, none of them neutral.
    pairs, experiences = (found[weigh]["label_weights"] for weigh in ("pairs", "experiences"))
    assert pairs.sum() == 260
    assert pairs[1] == 20
    assert experiences.sum().item() == pytest.approx(2)
    assert experiences[1].item() == pytest.approx(1 / 3)


def test_a_ridge_without_a_single_solution_is_one_line(toy, tiny_encoder_folder, tmp_path):
    """With more features than pairs their covariance has no inverse."""
    settings = {"ridge": "1e-30", "projection": "600"}
    with pytest.raises(SettingError, match=r"^--set ridge=1e-30 is too small: "):
        one_seed(toy, tiny_encoder_folder, tmp_path, "ridge", "wikidata_only", shots=16, settings=settings)
