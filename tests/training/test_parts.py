"""No command reads a data set row by row: conftest's `no_row_by_row` ends whatever does."""

import pytest
from click.testing import CliRunner

from contsym.cli import cli
from contsym.commands.data import _counts
from contsym.data import cache
from contsym.errors import SettingError
from contsym.sweeps.config import SweepConfig
from contsym.sweeps.plan import plan_sweep
from contsym.training import parts
from contsym.training.parts import n_training_pairs
from contsym.training.plan import prepare
from tests.runs import toy_config, toy_run
from tests.toy import both_tasks, nli_rows, table_from_rows


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return both_tasks(tmp_path_factory.mktemp("toy"))


def test_the_watch_sees_contsym_and_nobody_else():
    pairs = table_from_rows(nli_rows(3))
    assert list(pairs["label"]) == [0, 1, 2]
    with pytest.raises(AssertionError, match=r"commands/data.py:\d+ iterates a Column row by row"):
        _counts(pairs["label"])


def test_a_run_reads_columns(toy, tiny_encoder_folder, tmp_path):
    """With all that is asked of the data; the watch is there in the runs of all other tests too."""
    options = {"scenario": "noisy_labels", "shots": 8, "audit": True, "curve": True}
    result, rows, _ = toy_run(toy, tiny_encoder_folder, tmp_path, "setfit", **options)
    assert len(rows) == sum(result.n_test.values())


@pytest.fixture
def draws(monkeypatch):
    """The draws: option, number, seed."""
    found = []

    def counted(usual, option):
        def draw(pairs, n, seed, *named):
            found.append((option, n, seed))
            return usual(pairs, n, seed, *named)

        return draw

    for name, option in (("few_shot_rows", "shots"), ("subset_rows", "size")):
        monkeypatch.setattr(parts, name, counted(getattr(parts, name), option))
    return found


def test_the_plan_of_a_sweep_reads_columns_and_draws_what_it_shows(toy, tiny_encoder_folder, tmp_path, draws):
    config = SweepConfig(
        strategies=("knn_fixed", "fine_tune"),
        scenario="mnli_then_wikidata",
        protocol="sequential",
        shots=(4, 8),
        seeds=(0, 1),
        encoder=str(tiny_encoder_folder),
        sources=toy,
        sizes={"mnli": 12},
        settings={"epochs": ("1",), "min_steps": ("1",), "batch_size": ("4",)},
        output=tmp_path,
    )
    sweep, audits = plan_sweep(config)
    assert set(audits) == {"mnli", "wikidata"}
    # Eight cells: 12 / 4 = 3 steps of MNLI, then 4 / 4 = 1 or 8 / 4 = 2 of Wikidata.
    steps = {
        (c.job.config.strategy, c.job.config.shots): (c.n_first_task_steps, c.n_steps) for c in sweep.cells
    }
    assert len(sweep.cells) == 8
    assert (steps["fine_tune", 4], steps["fine_tune", 8]) == ((3, 1), (3, 2))
    # For the shortcuts before training, of the first seed and the most shots.
    assert draws == [("size", 12, 0), ("shots", 8, 0)]


def test_leaks_and_shortcuts_are_the_same_from_the_cache(toy, tiny_encoder_folder, tmp_path, monkeypatch):
    monkeypatch.setenv(cache.FOLDER, str(tmp_path / "cache"))
    monkeypatch.setenv(cache.LIMIT, "1")
    config = toy_config(
        toy,
        tiny_encoder_folder,
        tmp_path,
        "knn_fixed",
        "noisy_labels",
        shots=8,
        sizes={"mnli": 12},
        audit=True,
    )
    plain = prepare(config).audits
    monkeypatch.setattr(cache, "MANY", 1)
    first, second = prepare(config).audits, prepare(config).audits
    assert first == second == plain
    assert len(list((tmp_path / "cache" / "data").iterdir())) == 2 * len(plain)


def test_a_run_draws_each_training_part_once(toy, tiny_encoder_folder, tmp_path, draws):
    toy_run(toy, tiny_encoder_folder, tmp_path, "knn_fixed", shots=8, sizes={"mnli": 12}, audit=True)
    assert draws == [("size", 12, 0), ("shots", 8, 0)]


def test_too_many_or_too_few_shots_are_refused_before_anything_is_drawn(
    toy, tiny_encoder_folder, tmp_path, draws
):
    for shots, message in ((999, "needs 500 symmetric"), (2, None)):
        config = toy_config(toy, tiny_encoder_folder, tmp_path, "knn_fixed", shots=shots)
        if message:
            with pytest.raises(SettingError, match=message):
                prepare(config)
        else:
            assert [n_training_pairs(task, config) for task in prepare(config).tasks] == [60, 2]


@pytest.mark.parametrize("words", [["stats"], ["show", "--label", "entailment"], ["audit", "--shots", "8"]])
def test_looking_at_data_reads_columns(toy, tiny_encoder_folder, words):
    verb, *options = words
    if verb == "audit":
        options += ["--encoder", str(tiny_encoder_folder)]
    done = CliRunner().invoke(cli, ["data", verb, toy["wikidata"], *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
