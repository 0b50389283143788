"""A run from Python leaves the process as it found it."""

import os

import torch

from contsym.machine import run_environment
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.run import run_seed
from tests.runs import toy_config


def test_torch_its_random_state_and_the_environment_are_as_before(toy, tiny_encoder_folder, tmp_path):
    def state():
        return (
            torch.are_deterministic_algorithms_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,
            torch.is_grad_enabled(),
            torch.get_num_threads(),
            # Libraries set variables of their own when they are imported.
            {name: os.environ.get(name) for name in run_environment()},
        )

    before, random = state(), torch.get_rng_state()
    plan = prepare(toy_config(toy, tiny_encoder_folder, tmp_path, "knn_fixed", shots=8))
    run_seed(plan, 0, Silent())
    assert state() == before
    assert torch.equal(torch.get_rng_state(), random)
