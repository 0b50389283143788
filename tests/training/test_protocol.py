"""The encoder and the protocol of a run or a sweep that names none, and where they are stored."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from contsym.cli import cli
from contsym.config import RunConfig
from contsym.errors import SettingError
from contsym.report.collect import collect
from contsym.report.rerun import commands
from contsym.results import store
from contsym.scenarios.catalog import find_scenario
from contsym.strategies.catalog import load_strategy
from contsym.sweeps.config import SweepConfig
from contsym.sweeps.plan import plan_sweep
from contsym.sweeps.runs import stored_runs
from contsym.training.keys import key_of
from contsym.training.plan import prepare
from contsym.training.protocol import with_defaults
from contsym.training.reproduce import config_of
from tests.runs import toy_config, toy_run
from tests.toy import both_tasks

pytestmark = pytest.mark.usefixtures("untracked")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return both_tasks(tmp_path_factory.mktemp("toy"))


def defaults(strategy="knn_fixed", scenario="mnli_then_wikidata", **typed):
    config = RunConfig(strategy, scenario, **typed)
    found = with_defaults(config, find_scenario(scenario), {strategy: load_strategy(strategy)})
    assert with_defaults(found, find_scenario(scenario), {strategy: load_strategy(strategy)}) == found
    return found.protocol, found.encoder


@pytest.mark.parametrize("changes", [{}, {"strategy": "zero_shot", "protocol": "sequential"}])
def test_a_head_does_not_read_other_vectors_than_it_was_trained_over(toy, tmp_path, changes):
    options = {"strategy": "knn_fixed", "pooling": "cls", "sources": toy, "output": tmp_path, **changes}
    config = RunConfig(scenario="mnli_then_wikidata", encoder="minilm-nli", audit=False, **options)
    with pytest.raises(
        SettingError, match=r"^--pooling cls: the NLI head of minilm-nli was trained over other vectors"
    ):
        prepare(config)


START = ("retrain", "minilm-nli")
PLAIN = ("sequential", "minilm")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, START),
        ({"strategy": "fine_tune+ewc"}, START),
        *(({"scenario": name}, START) for name in ("snli_then_wikidata", "domain_shift", "noisy_labels")),
        ({"protocol": "retrain"}, START),
        ({"protocol": "sequential"}, PLAIN),
        # It knows no ANLI, and an encoder with a head is not pretrained.
        ({"scenario": "anli_then_wikidata"}, ("retrain", "minilm")),
        ({"pretrain": {"epochs": "2"}}, ("retrain", "minilm")),
        ({"encoder": "roberta-large"}, ("retrain", "roberta-large")),
        ({"encoder": "minilm-nli", "protocol": "sequential"}, ("sequential", "minilm-nli")),
        # No second task, no NLI first, two labels of three, all orders or one of them, no encoder.
        *(
            ({"scenario": name}, PLAIN)
            for name in (
                "mnli_only",
                "wikidata_only",
                "wikidata_then_mnli",
                "new_label",
                "order",
                "order:mnli,wikidata",
            )
        ),
        ({"strategy": "prompt_llm"}, PLAIN),
    ],
)
def test_what_is_not_named_follows_from_scenario_and_strategy(given, expected):
    assert defaults(**given) == expected


def test_pretraining_of_what_is_not_retrained_is_refused():
    with pytest.raises(
        SettingError, match="--pretrain steps: protocol sequential pretrains nothing; leave it out"
    ):
        defaults(scenario="wikidata_only", pretrain={"steps": "2"})


def test_all_strategies_of_a_sweep_have_one_protocol():
    names = ("knn_fixed", "prompt_llm")
    config = SweepConfig(names, "mnli_then_wikidata", (8,))
    scenario, classes = find_scenario(config.scenario), {name: load_strategy(name) for name in names}
    both = with_defaults(config, scenario, classes)
    assert (both.protocol, both.encoder) == PLAIN
    one = with_defaults(config, scenario, {"knn_fixed": classes["knn_fixed"]})
    assert (one.protocol, one.encoder) == START


def test_a_run_of_defaults_is_stored_as_resolved_and_found_again(tiny_presets, toy, tmp_path):
    output = tmp_path / "out"
    words = [
        "run",
        "--strategy",
        "knn_fixed",
        "--scenario",
        "mnli_then_wikidata",
        "--shots",
        "8",
        "--no-audit",
    ]
    words += [
        "--set",
        "steps=4",
        "--device",
        "cpu",
        "--precision",
        "fp32",
        "--no-curve",
        "--output",
        str(output),
    ]
    words += [word for task, source in toy.items() for word in (f"--{task}", source)]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.stderr
    assert "minilm-nli  (bundled difference to minilm, package tiny_package" in " ".join(
        done.stderr.split(" ")
    )
    assert "lexicalised; retrain)" in done.stderr
    (run,) = stored_runs(output)
    (result,) = run.results()
    assert (
        (run.config.encoder, run.config.protocol) == (result.encoder, result.options.protocol) == START[::-1]
    )
    # Typed or not, it is one result: the same key, and nothing left to train.
    again = CliRunner().invoke(cli, [*words, "--encoder", "minilm-nli", "--protocol", "retrain"])
    assert "1 of 1 seeds are stored already" in again.stderr
    assert len(stored_runs(output)) == 1
    repeated = config_of(result, output=tmp_path / "elsewhere")
    assert (repeated.protocol, repeated.encoder) == START
    assert key_of(prepare(repeated), 0) == result.key
    (command,) = commands(collect(output, [run.name]))
    assert "--encoder minilm-nli" in command
    assert "--protocol retrain" in command
    sequential = CliRunner().invoke(cli, [*words, "--protocol", "sequential", "--json"])
    printed = json.loads(sequential.stdout)
    assert (printed["options"]["protocol"], printed["encoder"]) == PLAIN
    assert store.is_stored(output, printed["seeds"][0]["key"])


def test_the_head_of_the_preset_answers_without_training(tiny_presets, toy, tmp_path):
    result, _, _ = toy_run(toy, "minilm-nli", tmp_path, "zero_shot", scenario="mnli_only", settings={})
    # A head of zeros prefers nothing: always the first label, a third of the pairs.
    assert result.matrix == [[pytest.approx(1 / 3)]] * 2
    # Its 3 x 128 weights and 3 biases in four bytes each, and no pairs.
    assert result.cost.stored_bytes == 4 * (3 * 128 + 3)


def test_a_sweep_resolves_them_before_its_cells(tiny_presets, toy, tmp_path):
    config = SweepConfig(
        ("knn_fixed", "fine_tune"), "mnli_then_wikidata", (8,), (0,), {"steps": ("4",)}, sources=toy,
        device="cpu", precision="fp32", audit=False, output=tmp_path / "out",
    )  # fmt: skip
    planned, _ = plan_sweep(config)
    assert planned.config == replace(config, protocol="retrain", encoder="minilm-nli")
    assert {(c.job.config.protocol, c.job.config.encoder, c.first_task) for c in planned.cells} == {
        (*START, None)
    }
    alone = toy_config(
        toy, "minilm-nli", tmp_path, "knn_fixed", protocol=None, shots=8, settings={"steps": "4"}
    )
    alone = replace(alone, settings={"steps": "4"})
    assert key_of(prepare(alone), 0) == planned.cells[0].job.key
