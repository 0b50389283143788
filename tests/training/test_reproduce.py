"""`contsym reproduce` does a stored run again from its own record, and tells equal from different."""

import dataclasses
import json
import shutil

import pytest
from click.testing import CliRunner

from contsym.checked import read_tensors
from contsym.cli import cli
from contsym.errors import ContsymError
from contsym.files import to_json
from contsym.results import store
from contsym.results.predictions import read_rows
from contsym.training import reproduce
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.run import run_seeds
from tests.runs import result_folder, toy_config
from tests.strategy_settings import fast_and_slow

STEPS = {"steps": "40"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reproduce")


@pytest.fixture(scope="module")
def config(toy, folder, tiny_encoder_folder):
    return toy_config(
        toy, tiny_encoder_folder, folder / "out", "knn_learned", shots=32, settings=STEPS, curve=True
    )


@pytest.fixture(scope="module")
def stored(config):
    """(folder, result) of a seed that `contsym run` would have stored."""
    plan = prepare(config)
    run_seeds(plan, Silent())
    seed = result_folder(plan)
    return seed, store.read_result(seed)


@pytest.fixture
def same_again(stored, monkeypatch):
    """For tests of the comparison alone: the repetition gives what was stored, as a test below shows that it does."""
    folder, result = stored
    outcome = result, read_rows(folder)[1], read_tensors(folder / store.TENSORS)
    return lambda: monkeypatch.setattr("contsym.training.run.run_seed", lambda *_: outcome)


def test_the_record_gives_back_the_config_it_was_made_with(config, stored):
    assert reproduce.config_of(stored[1], output=config.output) == config
    everything = dataclasses.replace(
        config, sizes={"mnli": 40}, protocol="retrain", pretrain={"steps": "3"}, target=0.7, audit=True
    )
    plan = prepare(everything)
    from datetime import UTC, datetime

    from contsym.training.run import record

    told = record(plan, 0, datetime.now(UTC), [40, 32])
    assert reproduce.config_of(told, output=config.output) == everything


def test_on_the_same_machine_it_is_equal_to_the_bit(stored):
    found = reproduce.repeat(*stored, Silent())
    assert (found.verdict, found.differing, found.elsewhere) == ("equal", [], {})
    assert (found.largest, found.agreement) == (0, 1)
    assert found.lines() == ["seed 0: equal to the bit"]


def changed(stored, folder, **changes):
    """A copy of the stored seed whose record says something else."""
    copy = folder / "changed"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(stored[0], copy)
    return copy, stored[1].model_copy(update=changes)


def test_what_is_not_equal_on_the_same_machine_is_an_error_however_small(stored, folder, same_again):
    """One loss of 80, changed in the last bit; and one answer of 94."""
    same_again()
    losses = [list(each) for each in stored[1].loss]
    losses[1][39] = losses[1][39] * (1 + 2**-52)
    copy, result = changed(stored, folder, loss=losses)
    rows = (copy / store.PREDICTIONS).read_text("utf-8").splitlines()
    last = rows[-1].rpartition(",")
    other = "neutral" if last[2] != "neutral" else "entailment"
    (copy / store.PREDICTIONS).write_text("\n".join([*rows[:-1], f"{last[0]},{other}"]) + "\n", "utf-8")
    found = reproduce.repeat(copy, result, Silent())
    assert found.verdict == "different"
    assert found.differing == ["loss", "predictions"]
    assert found.largest == 0
    assert found.agreement == pytest.approx(1 - 1 / 94)
    assert found.lines()[-1].endswith("this should not happen")


def test_elsewhere_the_tolerance_decides(stored, folder, same_again):
    """A stored accuracy that is 0.04 higher, made with another torch."""
    same_again()
    matrix = [list(row) for row in stored[1].matrix]
    matrix[2][1] += 0.04
    versions = {**stored[1].versions, "torch": "1.0"}
    copy, result = changed(stored, folder, matrix=matrix, versions=versions)
    found = reproduce.repeat(copy, result, Silent())
    assert found.elsewhere == {"version of torch": ("1.0", stored[1].versions["torch"])}
    assert (found.verdict, found.differing) == ("within tolerance", ["matrix"])
    assert found.largest == pytest.approx(0.04)
    assert dataclasses.replace(found, tolerance=0.03).verdict == "different"
    assert dataclasses.replace(found, elsewhere={}).verdict == "different"


@pytest.mark.slow
def test_fp32_and_bf16_agree_within_the_stated_tolerance(stored):
    found = reproduce.repeat(*stored, Silent(), precision="bf16")
    assert found.elsewhere == {"precision": ("fp32", "bf16")}
    # Other numbers were really computed: a precision without effect would prove nothing.
    assert "loss" in found.differing
    assert found.verdict == "within tolerance", found.lines()
    assert found.largest <= reproduce.TOLERANCE


@pytest.mark.parametrize("strategy", fast_and_slow(["fine_tune", "knn_fixed", "ridge"], ["ridge"], []))
def test_other_methods_are_repeated_too(strategy, toy, tiny_encoder_folder, tmp_path):
    config = toy_config(
        toy, tiny_encoder_folder, tmp_path / "out", strategy, shots=16, settings={"steps": "4"}
    )
    if strategy == "ridge":
        config = dataclasses.replace(config, settings={})
    plan = prepare(config)
    run_seeds(plan, Silent())
    seed = result_folder(plan)
    assert reproduce.repeat(seed, store.read_result(seed), Silent()).verdict == "equal"


def test_data_that_changed_or_are_gone_cannot_be_repeated(stored, toy, folder):
    moved = folder / "moved"
    shutil.copytree(toy["wikidata"], moved)
    found = reproduce.repeat(*stored, Silent(), sources={"wikidata": str(moved)})
    assert found.verdict == "equal", "where the data lie does not count"
    lines = (moved / "train.jsonl").read_text("utf-8").splitlines()
    (moved / "train.jsonl").write_text("\n".join(lines[1:]) + "\n", "utf-8")
    with pytest.raises(ContsymError, match=r"--wikidata .*moved: the data have changed \(SHA-256 "):
        reproduce.repeat(*stored, Silent(), sources={"wikidata": str(moved)})
    with pytest.raises(ContsymError, match="no such file or folder"):
        reproduce.repeat(*stored, Silent(), sources={"wikidata": str(folder / "nowhere")})
    weights = stored[1].encoder_weights.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(ContsymError, match="other weights"):
        reproduce.repeat(stored[0], stored[1].model_copy(update={"encoder_weights": weights}), Silent())


def test_a_scenario_that_changed_cannot_be_repeated(toy, tiny_encoder_folder, tmp_path):
    file = tmp_path / "mine.toml"
    head = 'summary = "An example."\n\n[[experience]]\ntask = "mnli"\n\n[[experience]]\ntask = "wikidata"\n'
    file.write_text(head)
    plan = prepare(toy_config(toy, tiny_encoder_folder, tmp_path / "out", "ridge"))
    config = dataclasses.replace(plan.config, scenario=str(file), settings={})
    plan = prepare(config)
    run_seeds(plan, Silent())
    seed = result_folder(plan)
    one, other = '"mnli"', '"wikidata"'
    swapped = head.replace(one, "X").replace(other, one).replace("X", other)
    for changed in (head + "storing_only = true\n", swapped):
        file.write_text(changed)
        with pytest.raises(
            ContsymError, match="its experiences have changed since the run was stored; expected"
        ):
            reproduce.repeat(seed, store.read_result(seed), Silent())


def test_exit_codes_and_json(stored, folder, same_again):
    run = stored[0]
    done = CliRunner().invoke(cli, ["reproduce", str(run), "--json"])
    assert done.exit_code == 0, done.output
    (seed,) = json.loads(done.stdout)["seeds"]
    assert (seed["seed"], seed["verdict"], seed["differing"]) == (0, "equal", [])
    result = json.loads((stored[0] / store.RESULT).read_text("utf-8"))
    copy = folder / "tampered"
    shutil.copytree(run, copy)
    result["matrix"][2][0] -= 0.5
    (copy / store.RESULT).write_text(to_json(result), "utf-8")
    same_again()
    done = CliRunner().invoke(cli, ["reproduce", str(copy)])
    assert done.exit_code == 1
    assert done.stdout.startswith("seed 0: DIFFERENT\n  largest difference of an accuracy 0.5000; ")
    done = CliRunner().invoke(cli, ["reproduce", str(run), "--seed", "3"])
    assert isinstance(done.exception, ContsymError)
    assert "has the seeds 0; expected one of them" in str(done.exception)
