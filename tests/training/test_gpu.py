"""Every strategy and add-on on a GPU: it learns there, agrees with the CPU and repeats itself.

Where torch sees no GPU they are skipped: nothing of contsym then runs on one, and the CPU has the rest of the tests.
"""

from dataclasses import replace

import pytest
import torch

from contsym.models.encoders import checkpoints
from contsym.models.encoders.device import choose_precision
from contsym.models.encoders.load import load
from contsym.strategies.catalog import addons
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.run import run_seed
from tests.runs import toy_config
from tests.strategy_settings import ENCODERS, SETTINGS
from tests.toy import both_tasks

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")

ADDONS = [f"fine_tune+{name}" for name in sorted(addons())] + ["knn_fixed+replay"]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return both_tasks(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def run(request, toy, tmp_path):
    def run(strategy, device="cuda", precision="fp32", own=None):
        """Result and predictions of a run of both toy tasks."""
        name, _, _ = strategy.partition("+")
        encoder = request.getfixturevalue(ENCODERS.get(name, "tiny_encoder_folder"))
        config = toy_config(toy, encoder, tmp_path, strategy, curve=True)
        steps = {"steps": "6"} if "learning_rate" in SETTINGS[name] else {}
        settings = {**SETTINGS[name], **steps, **(own or {})}
        config = replace(config, device=device, precision=precision, settings=settings)
        result, rows, _ = run_seed(prepare(config), 0, Silent())
        return result, rows

    return run


@pytest.mark.parametrize("strategy", [*SETTINGS, *ADDONS])
def test_a_run_repeats_itself_to_the_bit(run, strategy):
    first, rows = run(strategy)
    again, same_rows = run(strategy)
    assert again.matrix == first.matrix
    assert again.loss == first.loss
    assert same_rows == rows


@pytest.mark.parametrize("strategy", SETTINGS)
def test_untrained_it_says_what_the_cpu_says(run, strategy):
    on_gpu, _ = run(strategy)
    on_cpu, _ = run(strategy, device="cpu")
    # Of 60 and some test pairs one may lie on the border.
    assert on_gpu.matrix[0] == pytest.approx(on_cpu.matrix[0], abs=0.05)


@pytest.mark.parametrize("strategy", ["knn_fixed", "random_labels", "fine_tune"])
def test_bfloat16_repeats_itself_and_ends_near_float32(run, strategy):
    half, _ = run(strategy, precision="bf16")
    again, _ = run(strategy, precision="bf16")
    full, _ = run(strategy, precision="fp32")
    assert again.matrix == half.matrix
    assert half.loss[0][0] == pytest.approx(full.loss[0][0], rel=0.05)


def test_a_frozen_part_gives_what_the_cpu_gives(run):
    on_gpu, _ = run("knn_fixed", own={"freeze": "layers:1"})
    on_cpu, _ = run("knn_fixed", device="cpu", own={"freeze": "layers:1"})
    assert on_gpu.matrix[0] == pytest.approx(on_cpu.matrix[0], abs=0.05)


def test_vectors_are_those_of_the_cpu(tiny_encoder_folder):
    encoder = load(checkpoints.locate(str(tiny_encoder_folder)))
    texts = [f"the {i} borders {'a ' * (i % 9)}river" for i in range(500)]
    there = encoder.encode(texts)
    here = encoder.to("cuda").encode(texts)
    assert here.device.type == "cpu"
    torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-5)


def test_auto_is_bfloat16_on_a_gpu_that_multiplies_it():
    expected = "bf16" if torch.cuda.get_device_capability()[0] >= 8 else "fp32"
    assert choose_precision("auto", "cuda") == expected
