"""The command of a report, given to a shell and to the command line, asks for the same sweep again."""

import shlex

import pytest

from contsym.commands import sweep
from contsym.report.collect import collect
from contsym.report.rerun import commands, shared_training
from contsym.sweeps.config import SweepConfig
from tests.stored_results import store_run, store_sweep


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"seeds": (5,)},
        {"seeds": (0, 7), "settings": {"k": ("1", "3"), "margin": ("0.4",)}},
        {"sizes": {"mnli": 1200}, "target": 0.9, "curve": True, "audit": False, "split": "relation"},
        {
            "form": "both",
            "device": "cpu",
            "precision": "fp32",
            "relearn": True,
            "encoder": "it's mine/encoder",
        },
        {"sources": {"mnli": "my data/--mnli", "wikidata": "$HOME/`pairs`.jsonl"}},
    ],
)
def test_the_command_makes_the_same_sweep(tmp_path, monkeypatch, changes):
    output = tmp_path / "an output; with spaces"
    config = SweepConfig(("knn_fixed", "fine_tune"), "mnli_then_wikidata", (8, 64), output=output, **changes)
    started = []
    monkeypatch.setattr(sweep, "run_sweep", lambda config, *_: started.append(config))
    from contsym.sweeps.rerun_command import sweep_command

    typed = shlex.split(sweep_command(config, output).replace("\\\n", ""))
    assert typed[:2] == ["contsym", "sweep"]
    sweep.sweep(typed[2:], standalone_mode=False)
    assert started == [config]


def test_what_the_cells_share_is_counted(tmp_path):
    store_sweep(tmp_path, with_view=False)
    # 48 cells of 100 steps, and 12 first tasks (per strategy and seed) of 100 in place of 48.
    text = shared_training(collect(tmp_path, []))
    assert text.startswith("48 cells share 12 trainings on the first task")
    assert "6,000 training steps in place of 9,600" in text


def test_runs_have_a_command_each(tmp_path):
    store_run(tmp_path, "a", [0, 1])
    store_run(tmp_path, "b", [2], strategy="fine_tune", set={"batch_size": "8"})
    found = commands(collect(tmp_path, ["a", "b"]))
    plain = [command.replace(" \\\n ", "") for command in found]
    same = "--scenario mnli_then_wikidata --shots 64"
    chosen = "--encoder minilm --protocol sequential --device cpu --precision fp32 --target 0.9"
    assert plain == [
        f"contsym run --strategy knn_fixed {same} --seeds 0,1 {chosen}",
        f"contsym run --strategy fine_tune {same} --seeds 2-2 --set batch_size=8 {chosen}",
    ]
