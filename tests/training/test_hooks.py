"""What a plug-in's hooks may rely on: the mode of the modules, and tensors of their own."""

import pytest
import torch
from torch import nn

from contsym.models.algebra import pair_features
from contsym.models.pair_model import evaluating
from contsym.strategies.fine_tune import FineTune
from contsym.strategies.ncm import NearestClassMean
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.run import run_seed
from tests.runs import toy_config


class Watched(FineTune):
    """Notes the mode of its modules wherever texts are scored or described."""

    modes: set[tuple[str, bool]]

    def _note(self, hook):
        self.modes.add((hook, any(module.training for module in self.model.modules())))

    def refresh(self, past_limit=None):
        self._note("refresh")
        super().refresh(past_limit)

    def score(self, pairs):
        self._note("score")
        return super().score(pairs)

    def features(self, pairs):
        self._note("features")
        return super().features(pairs)

    def fit(self, pairs):
        self._note("fit")

    def objective(self, output, labels):
        self._note("objective")
        return super().objective(output, labels)


class Sums(NearestClassMean):
    """Sums beside the model, to which `fit` adds in place, as the tutorial's `state` and `restore` hand them over."""

    def build(self, encoder, n_labels, generator):
        self.sums, self.counts = torch.zeros(n_labels, 4 * encoder.dim), torch.zeros(n_labels)
        return nn.Identity()

    def fit(self, pairs):
        labels = torch.tensor(pairs["label"][:])
        self.sums.index_add_(0, labels, pair_features(*self.model.vectors(pairs)))
        self.counts.index_add_(0, labels, torch.ones(len(labels)))

    def score(self, pairs):
        means = self.sums / self.counts.clamp_min(1)[:, None]
        return -torch.cdist(pair_features(*self.model.vectors(pairs)), means)

    def state(self):
        return {**super().state(), "sums": self.sums, "counts": self.counts}

    def restore(self, state, past):
        super().restore(state, past)
        self.sums, self.counts = state["sums"], state["counts"]


def run_of(strategy, plan):
    models = []
    object.__setattr__(plan, "strategy", strategy)
    run_seed(plan, 0, Silent(), on_end=models.append)
    return models[0].strategy


def test_dropout_is_off_wherever_a_method_scores_also_at_points_of_the_curve(
    toy, tiny_encoder_folder, tmp_path
):
    Watched.modes = set()
    config = toy_config(toy, tiny_encoder_folder, tmp_path, "fine_tune", settings={"steps": "3"}, curve=True)
    run_of(Watched, prepare(config))
    scored = [(hook, False) for hook in ("features", "fit", "refresh", "score")]
    assert sorted(Watched.modes) == [*scored[:2], ("objective", True), *scored[2:]]


def test_a_module_that_stays_in_evaluation_mode_stays_in_it():
    model = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model] == [True, False]


@pytest.mark.parametrize("changes", [{"one_pass": True}, {"until": 1.0}])
def test_pairs_in_growing_parts_count_once_in_tensors_that_grow_in_place(
    toy, tiny_encoder_folder, tmp_path, changes
):
    config = toy_config(toy, tiny_encoder_folder, tmp_path, "ncm", "wikidata_only")
    config = type(config)(**{**vars(config), "settings": {}, **changes})
    method = run_of(Sums, prepare(config))
    assert method.counts.sum() == len(method.past[0])
