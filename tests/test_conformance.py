"""The suite behind `contsym check` fails what is rigged to fail, check by check."""

import pytest

from contsym import conformance
from contsym.conformance import CHECKS, Bench, Failed

HEAD = '''"""A rigged method."""
import torch
from torch import nn
from torch.nn import functional
from contsym.strategies.base import Strategy, TrainingSettings
from contsym.relations.heads import PairClassifier

CARD = {"source": "a test", "trains": "encoder", "stores": "a head", "grows": "GROWS"}


class Rigged(Strategy):
    def make_head(self, dim, n_labels, generator):
        return PairClassifier(dim, n_labels, generator)

    def objective(self, output, labels):
        return functional.cross_entropy(output, labels)
'''

RIGGED = {
    "scores are finite": (
        "labels",
        "    def score_pairs(self, pairs):\n        return super().score_pairs(pairs) / 0\n",
        "are not finite",
    ),
    "learns a separable task": (
        "labels",
        "    def objective(self, output, labels):\n        return 0.0 * output.sum()\n",
        "expected 0.9 or more",
    ),
    "same seed same result": (
        "labels",
        "    def objective(self, output, labels):\n"
        "        import time\n"
        "        return functional.cross_entropy(output, labels) * (1 + time.time() % 1)\n",
        "the losses differ between two runs",
    ),
    "measuring does not change training": (
        "labels",
        "    def score_pairs(self, pairs):\n"
        "        with torch.no_grad():\n"
        "            self.model.head.linear.bias.add_(0.1)\n"
        "        return super().score_pairs(pairs)\n",
        "differ between two runs",
    ),
    "saved and loaded is the same": (
        "labels",
        "    shift = None\n"
        "    def fit(self, pairs):\n"
        "        self.shift = torch.tensor([5.0, 0.0, 0.0])\n"
        "    def score_pairs(self, pairs):\n"
        "        scores = super().score_pairs(pairs)\n"
        "        return scores if self.shift is None else scores + self.shift\n",
        "expected state() and restore() to hold all",
    ),
    "grows as declared": ("pairs", "", "CARD[\"grows\"] is 'pairs', but bytes"),
    "frozen parameters stay": (
        "labels",
        "    def make_head(self, dim, n_labels, generator):\n"
        "        head = PairClassifier(dim, n_labels, generator)\n"
        "        head.linear.weight.requires_grad_(False)\n"
        "        return head\n"
        "    def fit(self, pairs):\n"
        "        self.model.head.linear.weight.add_(1)\n",
        "expected it not to, since its requires_grad is False",
    ),
}


def bench(tmp_path, grows="labels", body=""):
    path = tmp_path / "rigged.py"
    path.write_text(HEAD.replace("GROWS", grows) + body, encoding="utf-8")
    return Bench("rigged", tmp_path / "bench", files=[path])


@pytest.fixture(autouse=True)
def forget_plugins():
    from contsym import plugins

    yield
    plugins.forget()


@pytest.mark.parametrize("check", RIGGED)
def test_each_check_fails_what_is_rigged_against_it(tmp_path, check):
    grows, body, message = RIGGED[check]
    with pytest.raises(Failed) as caught:
        CHECKS[check](bench(tmp_path, grows, body))
    assert message in str(caught.value)


def test_without_the_rig_all_pass(tmp_path):
    found = list(conformance.outcomes(bench(tmp_path)))
    assert [outcome.name for outcome in found] == list(CHECKS)
    assert {outcome.status for outcome in found} == {"pass"}
