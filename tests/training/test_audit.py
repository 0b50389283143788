"""The audit of training end to end: a planted shift of labels, an untrained model, and methods that learn."""

import json

import pytest
from click.testing import CliRunner

from contsym import plugins
from contsym.api.auditing import audit_results, results_of
from contsym.cli import cli
from contsym.data.rules import Rules, load_rules
from contsym.errors import ContsymError, SettingError
from contsym.results import store
from contsym.results.training_audit import Answers, TrainingAudit, read_audit, write_audit
from contsym.sweeps.config import SweepConfig
from contsym.sweeps.job import Job
from contsym.sweeps.plan import Cell, Sweep, write_record
from contsym.sweeps.readings import Reading
from contsym.training.progress import Silent
from tests.stored_results import make_result
from tests.toy import both_tasks

pytestmark = pytest.mark.usefixtures("untracked")

SHIFTED = '''"""Answers every task by the head that the encoder had, with a constant added to each label's score."""

import torch
from pydantic import Field
from torch import nn

from contsym.strategies.base import Strategy, TrainingSettings

CARD = {"source": "planted", "trains": "nothing", "stores": "nothing", "family": "baseline"}


class Shifted(Strategy):
    class Settings(TrainingSettings):
        towards_contradiction: float = Field(0.0, description="added to its score")

    trains = False

    def build(self, encoder, n_labels, generator):
        return nn.Linear(1, 1)

    def known_scores(self, pairs):
        scores = super().known_scores(pairs)
        return scores + torch.tensor([0.0, 0.0, self.settings.towards_contradiction])

    def score(self, pairs):
        return self.known_scores(pairs)
'''


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return both_tasks(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def planted(tmp_path):
    path = tmp_path / "shifted.py"
    path.write_text(SHIFTED, "utf-8")
    return str(path)


def run(output, *words):
    done = CliRunner().invoke(
        cli, ["run", "--no-audit", "--no-curve", "--save-model", "--output", str(output), *words]
    )
    assert done.exit_code == 0, done.exception
    return output


def audited(output, name, plugin=()):
    results, row_of = results_of(name, output)
    found = audit_results(
        results,
        output,
        row_of,
        plugins=plugins.read(plugin),
        rules=load_rules(),
        progress=Silent(),
        device="cpu",
    )
    (only,) = found.values()
    return only


def tiny(toy, encoder):
    return [
        *("--scenario", "mnli_then_wikidata", "--encoder", str(encoder), "--device", "cpu", "--precision", "fp32"),
        *("--mnli", toy["mnli"], "--wikidata", toy["wikidata"], "--shots", "16"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("amount", "verdict"), [pytest.param("0", "unchanged", marks=pytest.mark.slow), ("2", "label bias")]
)
def test_a_planted_shift_and_no_change(toy, tiny_encoder_folder, tmp_path, planted, amount, verdict):
    start = ["--protocol", "retrain", "--pretrain", "steps=4"]
    output = run(
        tmp_path / "out", *tiny(toy, tiny_encoder_folder), *start, "--strategy", "shifted", "--plugin", planted,
        "--set", f"towards_contradiction={amount}",
    )  # fmt: skip
    found = audited(output, "shifted", [planted])
    assert found.verdict == found.task.verdict == verdict
    if amount == "2":
        assert found.task.kappa == 1.0


def test_a_sequential_run_is_compared_with_the_method_after_its_first_task(
    toy, tiny_encoder_folder, tmp_path
):
    steps = ["--set", "steps=6", "--set", "learning_rate=3e-3", "--seeds", "0,1"]
    output = run(
        tmp_path,
        *tiny(toy, tiny_encoder_folder),
        "--protocol",
        "sequential",
        "--strategy",
        "fine_tune",
        *steps,
    )
    shown = CliRunner().invoke(
        cli, ["audit", "fine_tune", "--output", str(output), "--json", "--device", "cpu"]
    )
    assert shown.exit_code == 0, shown.exception
    (found,) = json.loads(shown.stdout).values()
    assert found["seeds"] == [0, 1]
    for folder, result in results_of("fine_tune", output)[0].items():
        audit = read_audit(folder)
        # After and before are the rows of the accuracy matrix.
        right = [
            sum(a == b for a, b in zip(getattr(audit.task, w), audit.task.labels, strict=True))
            for w in ("before", "after")
        ]
        n = len(audit.task.labels)
        assert [each / n for each in right] == [pytest.approx(result.matrix[row][1]) for row in (1, 2)]
    # What is stored is not measured again, with or without the models.
    again = CliRunner().invoke(cli, ["audit", "fine_tune", "--output", str(output), "--device", "cpu"])
    assert "rules were not known before" in again.output


def test_the_readings_of_a_sweep_are_judged_apart(tmp_path):
    """One answers as the model before, the other as the labels say."""
    readings = tuple(Reading({"draw": draw, "protocol": "sequential"}) for draw in ("balanced", "natural"))
    config = SweepConfig(
        ("ridge",), "mnli_then_wikidata", (64,), seeds=(0, 1), readings=readings, output=tmp_path
    )
    labels, cells = [0, 2] * 20, []
    for i, reading in enumerate(readings):
        for seed in config.seeds:
            job = Job(f"{2 * i + seed:064x}", config.cell("ridge", seed, 64, {}))
            cells.append(Cell(job, None, 10, 0, reading=reading.name))
            result = make_result(seed, key=job.key, strategy="ridge")
            folder = store.write_result(tmp_path, result, [{"task": "wikidata", "id": "a"}], {})
            after = labels if i else [0] * 40
            answers = Answers(labels=labels, before=[0] * 40, after=after, twin=[0] * 40, known=0.5)
            audit = TrainingAudit(
                format=1, key=job.key, strategy="ridge", seed=seed, labels=list(result.labels), new_task="wikidata",
                task=answers, task_shift=[0.0] * 3, rules={}, rules_shift=[0.0] * 3, sources={},
            )  # fmt: skip
            write_audit(folder, audit)
    sweep = write_record(Sweep(config, tuple(cells), "2026-01-02T03:04:05+00:00"))
    results, row_of = results_of(sweep.name, tmp_path)
    found = audit_results(
        results, tmp_path, row_of, rules=Rules({}, {}), plugins=plugins.read(()), progress=Silent()
    )
    assert {name: (each.seeds, each.verdict) for name, each in found.items()} == {
        "ridge draw=balanced protocol=sequential, 64 shots": ((0, 1), "unchanged"),
        "ridge draw=natural protocol=sequential, 64 shots": ((0, 1), "learned"),
    }


def test_what_cannot_be_audited_is_one_line(toy, tiny_encoder_folder, tmp_path):
    without = CliRunner().invoke(
        cli, ["run", *tiny(toy, tiny_encoder_folder), "--protocol", "sequential", "--strategy", "ridge", "--no-audit",
              "--no-curve", "--output", str(tmp_path)],
    )  # fmt: skip
    assert without.exit_code == 0, without.exception
    with pytest.raises(
        SettingError, match="ridge, seed 0: no saved model; the same command with --save-model"
    ):
        audited(tmp_path, "ridge")
    with pytest.raises(ContsymError, match="'nothing' is not there; expected latest, a run or sweep"):
        audited(tmp_path, "nothing")
    alone = [
        "--scenario",
        "wikidata_only",
        "--strategy",
        "ridge",
        "--wikidata",
        toy["wikidata"],
        "--shots",
        "16",
    ]
    output = run(tmp_path / "b", *alone, "--encoder", str(tiny_encoder_folder), "--device", "cpu")
    with pytest.raises(SettingError, match="does not begin with natural language inference"):
        audited(output, "ridge")
    table = tmp_path / "rules.csv"
    table.write_text("premise,hypothesis,label\na,b,neutral\n")
    (folder,), _ = results_of("ridge", tmp_path)
    done = CliRunner().invoke(cli, ["audit", str(folder), "--rules", str(table), "--output", str(tmp_path)])
    assert "no column that names the rule of a pair; expected group or skill" in str(done.exception)


@pytest.mark.parametrize(
    ("strategy", "verdict"),
    [
        pytest.param("routed_adapters", "learned", marks=pytest.mark.night),
        pytest.param("shifted", "label bias", marks=pytest.mark.slow),
        pytest.param("zero", "unchanged", marks=pytest.mark.night),
    ],
)
def test_verdicts_from_an_encoder_that_knows_the_rules(tmp_path, planted, strategy, verdict):
    """minilm-nli knows ten of the bundled rules. With other seeds some denials are routed to the adapter."""
    name = "shifted" if strategy == "zero" else strategy
    more = {
        # It trains nothing, and the rules have pairs of their own.
        "shifted": ["--set", "towards_contradiction=4", "--limit", "200"],
        "routed_adapters": ["--shots", "64", "--seeds", "4,"],
    }.get(strategy, [])
    plugin = ["--plugin", planted] if name == "shifted" else []
    output = run(tmp_path / "out", "--strategy", name, "--scenario", "mnli_then_wikidata", *more, *plugin)
    found = audited(output, name, [planted] if plugin else [])
    assert len(found.known) >= 8
    assert found.verdict == verdict
