"""Kept encodings are shared by those alone who would make the same ones."""

import torch

from contsym.encoders import load, locate
from contsym.encodings import UntrainedEncodings
from contsym.run import prepare
from tests.strategies.test_every_strategy import config, toy  # noqa: F401 - a fixture

PAIRS = [("anna is near ben", "ben is near anna"), ("anna", "ben")]


def test_a_checkpoints_head_and_its_pooled_states_are_kept_apart(toy, tiny_nli_folder, tmp_path):  # noqa: F811
    plan = prepare(config(toy, tiny_nli_folder, tmp_path, "zero_shot", audit=False))
    shared = UntrainedEncodings(tmp_path / "encodings", plan)
    pooled, classifier, again = (
        load(locate(str(tiny_nli_folder)), head=head) for head in ("none", "nli", "none")
    )
    for encoder in (pooled, classifier, again):
        encoder.kept = shared
    vectors = pooled.encode(PAIRS)
    assert vectors.shape == (2, 32)
    assert classifier.encode(PAIRS).shape == (2, 3)
    assert torch.equal(again.encode(PAIRS), vectors)
    # Two entries for three readers.
    assert len(list(shared.folder.iterdir())) == 2
