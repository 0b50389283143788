"""A sound strategy passes every check; for each check there are strategies that it catches.

Over 400 lines: the strategies that the checks catch are one table.
"""

from dataclasses import dataclass, field

import pytest

from contsym.errors import ContsymError, SettingError
from contsym.testing import conformance
from contsym.testing.conformance import CHECKS, Bench, Failed, Skipped, outcome
from tests.strategy_settings import fast_and_slow

SOURCE = '''"""A linear head over the features of a pair."""

import itertools

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional

from contsym.models.algebra import pair_features
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {card}


class Head(nn.Module):
    def __init__(self, dim, n_labels, generator):
        super().__init__()
        self.weight = nn.Parameter(0.1 * torch.randn(n_labels, 4 * dim, generator=generator))

    def forward(self, p, h):
        return pair_features(p, h) @ self.weight.T


class Rigged(Strategy):
    def build(self, encoder, n_labels, generator):
        return Head(encoder.dim, n_labels, generator)

    def objective(self, output, labels):
        return functional.cross_entropy(output, labels)

{body}
'''
CARD = {"source": "these tests", "trains": "encoder and head", "stores": "a head", "grows": "labels"}


@dataclass(frozen=True)
class Rig:
    """A fault in the sound strategy above, and the message of the check that catches it."""

    check: str
    message: str
    body: str = ""
    card: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)


STANDS_STILL = """
    def objective(self, output, labels):
        return output.sum() * 0.0
"""
KEEPS_BESIDE_THE_STATE = """
    shift = 0.0

    def fit(self, pairs):
        self.shift = self.shift + 1.0

    def score(self, pairs):
        return super().score(pairs) * torch.tensor([1.0, 1.0 + self.shift, 1.0])
"""

RIGS = {
    "card_says_nothing_is_trained": Rig(
        "has a card",
        "CARD[\"trains\"] is 'nothing', but the class has trains = True; "
        "expected 'nothing' where it is False, and nowhere else",
        card={"trains": "nothing"},
    ),
    "card_says_a_head_is_trained": Rig(
        "has a card",
        "CARD[\"trains\"] is 'encoder and head', but the class has trains = False; "
        "expected 'nothing' where it is False, and nowhere else",
        "    trains = False",
    ),
    "takes_any_batch_size": Rig(
        "refuses wrong settings",
        "batch_size=0 was taken; expected a subclass of TrainingSettings that refuses it",
        "    class Settings(TrainingSettings):\n        batch_size: int = Field(16, description='pairs')",
    ),
    "does_not_say_what_a_setting_is": Rig(
        "refuses wrong settings",
        "setting scale has no description; expected Field(default, description=...)",
        "    class Settings(TrainingSettings):\n        scale: float = 1.0",
    ),
    "has_a_default_out_of_range": Rig(
        "refuses wrong settings",
        "--set scale=0.0: expected greater than 0; 0.0 is its default",
        "    class Settings(TrainingSettings):\n        scale: float = Field(0.0, gt=0, description='of scores')",
    ),
    "has_a_score_too_many": Rig(
        "scores are finite",
        ".score gave a tensor of shape (64, 4); expected (pairs, labels), (64, 3)",
        "    def build(self, encoder, n_labels, generator):\n        return Head(encoder.dim, n_labels + 1, generator)",
    ),
    "answers_with_whole_numbers": Rig(
        "scores are finite",
        "scores before training are torch.int64; expected floating point",
        "    def score(self, pairs):\n        return super().score(pairs).long()",
    ),
    "divides_by_zero_once_trained": Rig(
        "scores are finite",
        "the logits of 30 of 30 pairs give no probabilities; expected finite scores",
        "    def score(self, pairs):\n        return super().score(pairs) / (0.0 if self.past else 1.0)",
    ),
    "compares_the_pairs_that_it_scores": Rig(
        "scores depend on the pair alone",
        "64 of 64 pairs have other scores when they are scored in two halves; expected the scores of a pair to depend on "
        "its texts and on the training alone",
        """
    def score(self, pairs):
        scores = super().score(pairs)
        return scores - scores.mean(dim=0)
""",
    ),
    "learns_from_the_pairs_that_it_scores": Rig(
        "scores depend on the pair alone",
        "scoring changed state seen; expected score to change nothing of state() and artifacts()",
        """
    seen = torch.zeros(3)

    def score(self, pairs):
        scores = super().score(pairs)
        self.seen += scores.sum(dim=0)
        return scores

    def state(self):
        return {**super().state(), "seen": self.seen}
""",
    ),
    "draws_when_it_scores": Rig(
        "scores depend on the pair alone",
        "the same pairs have other scores when scored again; expected them equal to the bit",
        """
    def score(self, pairs):
        return super().score(pairs) + torch.rand(())
""",
    ),
    "does_not_learn": Rig(
        "learns a separable task",
        # What a head that never moves answers, by the seed of the weights.
        "after 100 steps; expected 0.9 or more (try another --set learning_rate=)",
        STANDS_STILL,
    ),
    "learns_nothing_without_steps": Rig(
        "learns a separable task",
        "without a gradient step; expected 0.69 or more, clearly above guessing (0.5)",
        "    trains = False\n\n    def fit(self, pairs):\n        self.model.head.weight *= 0.0",
        card={"trains": "nothing"},
    ),
    "draws_from_elsewhere": Rig(
        "same seed same result",
        "the losses differ between two runs; expected them equal to the bit",
        "    draws = itertools.count()\n\n"
        "    def build(self, encoder, n_labels, generator):\n"
        "        return Head(encoder.dim, n_labels, torch.Generator().manual_seed(next(self.draws)))",
    ),
    "ignores_the_seed": Rig(
        "same seed same result",
        "seeds 1 and 2 have the same losses; expected runs that differ",
        STANDS_STILL,
    ),
    "learns_from_scoring": Rig(
        "measuring does not change training",
        "the losses differ between two runs; expected them equal to the bit",
        """
    n_calls = 0

    def score(self, pairs):
        self.n_calls += 1
        return super().score(pairs)

    def objective(self, output, labels):
        return (1 + self.n_calls) * functional.cross_entropy(output, labels)
""",
    ),
    "changes_a_weight_when_scoring": Rig(
        "measuring does not change training",
        "the losses differ between two runs; expected them equal to the bit",
        """
    def score(self, pairs):
        with torch.no_grad():
            self.model.head.weight[0] += 0.1
        return super().score(pairs)
""",
    ),
    "keeps_a_number_beside_its_state": Rig(
        "saved and loaded is the same",
        "the scores of 30 of 30 pairs differ after loading; expected state() and restore() "
        "to hold all that a finished experience changes",
        KEEPS_BESIDE_THE_STATE,
    ),
    "keeps_a_copy_beside_its_state": Rig(
        "saved and loaded is the same",
        "after loading; expected state() and restore() to hold all that a finished experience changes",
        """
    def begin(self, n):
        if n == 0:
            self.start = self.model.head.weight.detach().clone()

    def objective(self, output, labels):
        pull = (self.model.head.weight - self.start).square().sum()
        return functional.cross_entropy(output, labels) + pull
""",
    ),
    "continues_differently_after_loading": Rig(
        "saved and loaded is the same",
        "the losses after loading differ between two runs; expected them equal to the bit",
        """
    n_begin_calls = 0

    def begin(self, n):
        self.n_begin_calls += 1

    def objective(self, output, labels):
        return self.n_begin_calls * functional.cross_entropy(output, labels)
""",
    ),
    "reads_pairs_that_are_not_saved": Rig(
        "saved model predicts the same",
        "the scores of 64 of 64 pairs differ in the saved model; expected state() and restore() to hold all that a run "
        "changes, and stored_pairs() the pairs that it still reads",
        """
    def score(self, pairs):
        return super().score(pairs) + sum(map(len, self.past))
""",
    ),
    "grows_with_labels_and_says_no": Rig(
        "grows as declared",
        "CARD[\"grows\"] is 'no', but bytes with 16 and 64 pairs 1,536 and 1,536, after one and two "
        # 3 or 6 labels x 4 * 32 features x 4 bytes.
        "experiences 1,536 and 1,536, of a head for 3 and 6 labels 1,536 and 3,072",
        card={"grows": "no"},
    ),
    "stores_no_pairs_and_says_so": Rig(
        "grows as declared",
        "CARD[\"grows\"] is 'pairs', but bytes with 16 and 64 pairs 1,536 and 1,536, after one and two "
        "experiences 1,536 and 1,536, of a head for 3 and 6 labels 1,536 and 3,072",
        card={"grows": "pairs"},
    ),
    "forgets_its_head": Rig(
        "grows as declared",
        "CARD[\"grows\"] is 'labels', but bytes with 16 and 64 pairs 1,000 and 1,000, after one and two "
        "experiences 1,000 and 500, of a head for 3 and 6 labels 1,536 and 3,072",
        "    @property\n    def n_stored_bytes(self):\n        return 1000 // len(self.past)",
    ),
    "changes_a_weight_without_training": Rig(
        "frozen parameters stay",
        "head.weight changed; expected no parameter to, since trains is False (use a buffer)",
        "    trains = False\n\n    def fit(self, pairs):\n        self.model.head.weight += 1.0",
        card={"trains": "nothing"},
    ),
    "changes_a_frozen_weight": Rig(
        "frozen parameters stay",
        "head.weight changed; expected it not to, since its requires_grad is False",
        """
    def build(self, encoder, n_labels, generator):
        return Head(encoder.dim, n_labels, generator).requires_grad_(False)

    def fit(self, pairs):
        self.model.head.weight += 1.0
""",
    ),
    "changes_nothing": Rig(
        "frozen parameters stay",
        "no parameter changed in 3 steps; expected some to, since trains is True",
        STANDS_STILL,
        settings={"weight_decay": "0"},
    ),
    "counts_its_head_alone": Rig(
        "frozen parameters stay",
        "parameters changed, but n_trained_parameters is 384",
        "    @property\n    def n_trained_parameters(self):\n        return self.model.head.weight.numel()",
    ),
    "counts_what_it_does_not_train": Rig(
        "frozen parameters stay",
        "0 parameters changed, but n_trained_parameters is 384",
        "    trains = False\n\n    @property\n    def n_trained_parameters(self):\n"
        "        return self.model.head.weight.numel()",
        card={"trains": "nothing"},
    ),
}


FIRST = {rig.check: name for name, rig in reversed(RIGS.items())}.values()
"""A rig for each check: what the fast tests try."""

pytestmark = pytest.mark.usefixtures("forked")


@pytest.fixture
def make_bench(tmp_path, tiny_encoder_folder):
    def make(body="", name="rigged", card=(), settings=()):
        file = tmp_path / f"{name}.py"
        file.write_text(SOURCE.format(card={**CARD, **dict(card)}, body=body))
        return Bench(name, tmp_path, encoder=tiny_encoder_folder, settings=dict(settings), files=[file])

    return make


# In the fast tests strategies of contsym's own pass every check (tests/strategies/test_every_strategy.py).
@pytest.mark.slow
def test_the_sound_strategy_passes_every_check(make_bench):
    bench = make_bench()
    found = [outcome(bench, name) for name in CHECKS]
    assert [each.name for each in found] == list(CHECKS)
    assert [each for each in found if each.status != "pass" or not each.detail] == []


def test_every_check_can_fail():
    assert {rig.check for rig in RIGS.values()} == set(CHECKS)


@pytest.mark.parametrize("name", fast_and_slow(RIGS, FIRST))
def test_the_check_catches(name, make_bench):
    rig = RIGS[name]
    bench = make_bench(rig.body, name, rig.card, rig.settings)
    with pytest.raises(Failed) as caught:
        CHECKS[rig.check](bench)
    # Literal, but for figures that follow from random weights and stand before it.
    assert str(caught.value).endswith(rig.message)


def test_what_does_not_concern_a_strategy_is_skipped_with_a_reason(make_bench):
    # It answers by an untrained head: there is nothing to learn with and no curve.
    bench = make_bench("    trains = False", card={"trains": "nothing"})
    for name in ("learns a separable task", "measuring does not change training"):
        with pytest.raises(Skipped, match="it takes no gradient step"):
            CHECKS[name](bench)


def test_a_strategy_that_raises_fails_with_its_line(make_bench):
    body = "    def objective(self, output, labels):\n        return [0.0][labels.numel()]"
    bench = make_bench(body)
    line = SOURCE.format(card=CARD, body=body).splitlines().index("        return [0.0][labels.numel()]") + 1
    # A check that looks at the class, one that trains, and one that needs what others have trained.
    failed = ("scores are finite", "measuring does not change training")
    found = {name: outcome(bench, name) for name in ("has a card", *failed)}
    assert found["has a card"].status == "pass"
    for name in failed:
        assert found[name].status == "fail"
        assert found[name].detail == f"IndexError: list index out of range (rigged.py:{line})"


def test_a_method_of_single_texts_alone_is_told_that_the_checks_are_on_pairs(make_bench):
    with pytest.raises(
        ContsymError, match="check rigged: its CARD has inputs = 'single', and all checks are on"
    ):
        make_bench(card={"inputs": "single"})


def test_a_score_that_reads_labels_fails_with_one_message(make_bench):
    body = "    def score(self, pairs):\n        return functional.one_hot(torch.tensor({}), 3).float()"
    for reads in ("pairs['label'][:]", "[pairs[0]['label']] * len(pairs)"):
        bench = make_bench(body.format(reads))
        message = "score reads column 'label'; it gets premise and hypothesis alone (rigged.py:"
        # Scored by the check, and in a run.
        for name in ("scores are finite", "learns a separable task"):
            assert conformance.outcome(bench, name).detail.startswith(message)


@pytest.mark.parametrize(
    ("loss", "given"),
    [
        ("functional.cross_entropy(output, labels, reduction='none')", "tensor of shape (16,)"),
        ("functional.cross_entropy(output, labels)[None]", "tensor of shape (1,)"),
        ("functional.cross_entropy(output, labels).item()", "float"),
    ],
)
def test_an_objective_that_is_no_scalar_is_one_line(loss, given, make_bench):
    bench = make_bench(f"    def objective(self, output, labels):\n        return {loss}")
    with pytest.raises(ContsymError) as caught:
        conformance.scores_are_finite(bench)
    assert str(caught.value) == (
        f"Rigged.objective gave a {given}; expected a scalar tensor, as the mean over the batch"
    )


@pytest.mark.night
def test_an_objective_that_is_no_scalar_fails_every_check_that_trains(make_bench):
    body = "    def objective(self, output, labels):\n        return output.sum(dim=1)"
    bench = make_bench(body)
    line = (
        "Rigged.objective gave a tensor of shape (16,); expected a scalar tensor, as the mean over the batch"
    )
    trained = set(CHECKS) - {"has a card", "refuses wrong settings"}
    found = [outcome(bench, name) for name in trained]
    assert [(each.status, each.detail) for each in found] == [("fail", line)] * len(trained)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "    class Settings(TrainingSettings):\n"
            "        scale: float = Field(0.0, gt=0, validate_default=True, description='of scores')",
            "--set scale: the default is refused, expected greater than 0; give it a value",
        ),
        (
            "    class Settings(TrainingSettings):\n"
            "        @model_validator(mode='after')\n"
            "        def _together(self):\n"
            "            raise ValueError('epochs must be a multiple of steps')",
            "--set: epochs must be a multiple of steps",
        ),
    ],
)
def test_settings_that_cannot_be_made_are_one_line(body, message, make_bench):
    with pytest.raises(SettingError) as caught:
        make_bench(body)
    assert str(caught.value) == message


def test_the_checks_leave_no_trace_outside_their_folder(make_bench, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    conformance.same_seed_same_result(make_bench())
    assert list((tmp_path / "here").iterdir()) == []
