"""No command reads a data set row by row: conftest's `no_row_by_row` ends whatever does."""

import pytest
from click.testing import CliRunner

import contsym.data_cli
from contsym.cli import cli
from contsym.data.schema import table_from_rows
from contsym.sweep.config import SweepConfig
from contsym.sweep.plan import plan_sweep
from tests.runs import toy_run
from tests.toy import both_tasks, nli_rows


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return both_tasks(tmp_path_factory.mktemp("toy"))


def test_the_watch_sees_contsym_and_nobody_else():
    pairs = table_from_rows(nli_rows(3))
    assert list(pairs["label"]) == [0, 1, 2]
    with pytest.raises(AssertionError, match=r"data_cli.py:\d+ iterates a Column row by row"):
        # Counts what it is given, here a column without [:].
        contsym.data_cli._counts({"label": Unsliced(pairs["label"])}, "label")


class Unsliced:
    def __init__(self, column):
        self.column = column

    def __getitem__(self, key):
        assert key == slice(None)
        return self.column


@pytest.mark.parametrize(
    ("strategy", "scenario"),
    [
        ("knn_fixed", "mnli_then_wikidata"),
        ("setfit", "mnli_then_wikidata"),
        ("fine_tune+cumulative", "mnli_then_wikidata"),
        ("knn_fixed", "noisy_labels"),
        ("knn_fixed", "new_label"),
        ("knn_fixed", "lexicalised_to_delexicalised"),
    ],
)
def test_a_run_reads_columns(toy, tiny_encoder_folder, tmp_path, strategy, scenario):
    result, rows, _ = toy_run(toy, tiny_encoder_folder, tmp_path, strategy, scenario, shots=8, audit=True)
    assert len(rows) == sum(result["n_test"].values())


def test_the_plan_of_a_sweep_reads_columns(toy, tiny_encoder_folder, tmp_path):
    config = SweepConfig(
        strategies=("knn_fixed", "fine_tune"),
        scenario="mnli_then_wikidata",
        shots=(4, 8),
        seeds=(0, 1),
        encoder=str(tiny_encoder_folder),
        sources=toy,
        sizes={"mnli": 12},
        output=tmp_path,
    )
    sweep, audits = plan_sweep(config)
    assert len(sweep.cells) == 8
    assert set(audits) == {"mnli", "wikidata"}


@pytest.mark.parametrize("words", [["stats"], ["show", "--label", "entailment"], ["audit", "--shots", "8"]])
def test_looking_at_data_reads_columns(toy, tiny_encoder_folder, words):
    verb, *options = words
    if verb == "audit":
        options += ["--encoder", str(tiny_encoder_folder)]
    done = CliRunner().invoke(cli, ["data", verb, toy["wikidata"], *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
