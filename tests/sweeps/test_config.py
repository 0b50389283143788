"""What a sweep is, and what is said of one that cannot be."""

import re
from dataclasses import replace

import pytest

from contsym.config import RunConfig, parse_seeds, to_record
from contsym.errors import ContsymError, SettingError
from contsym.sweeps.config import SweepConfig, for_one_run, parse_grid, parse_sweep_shots, read_file


def config(**changes):
    chosen = {"strategies": ("knn_fixed", "fine_tune"), "scenario": "mnli_then_wikidata", "shots": (8, 16)}
    return SweepConfig(**{**chosen, **changes})


@pytest.mark.parametrize(
    ("parse", "given", "message"),
    [
        (parse_sweep_shots, "8,,16", "--shots '' is not understood; expected a number, as 64, least or all"),
        (parse_seeds, "5-3,1", "--seeds '5-3,1': 5-3 goes down; expected 3-5"),
        (parse_grid, ("k",), "--set 'k' is no setting; expected name=value or name=value,value, as k=1,3,5"),
        (parse_grid, ("k=1", "k=2"), "--set k is given twice; give its values once, as k=1,3,5"),
    ],
)
def test_what_is_not_understood_is_said(parse, given, message):
    with pytest.raises(SettingError, match=f"^{re.escape(message)}$"):
        parse(given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shots": (8, 8)}, "--shots 8,8 names one twice; expected each once"),
        ({"shots": ()}, "--shots is empty; expected at least one"),
        ({"shots": (1,)}, "--shots 1 is too few; expected at least 2"),
        ({"strategies": ("knn",)}, "strategy 'knn' is unknown; did you mean"),
        ({"settings": {"k": ("3", "3")}}, "--set k=3,3: expected values that differ, as k=1,3,5"),
        ({"settings": {"k": tuple(map(str, range(100_000)))}}, "a sweep of more than 100,000 cells"),
        ({"step": 8}, "--step 8: only --shots least has a step; leave it out, add --shots least, or give"),
        (
            {"shots": (None,), "draw": "natural"},
            "--draw natural: with all pairs none is drawn; add --shots or",
        ),
        ({"target": 0.0}, "--target 0.0 is out of range; expected 0 < target <= 1"),
        (
            {"shots": ("least",), "until": 0.9, "target": 0.8},
            "--target 0.8: --shots least searches for one accuracy, that of --until (0.9); give one of them",
        ),
    ],
)
def test_a_sweep_that_cannot_be_is_one_line(changes, message):
    with pytest.raises(ContsymError, match=f"^{re.escape(message)}"):
        config(**changes)


def test_a_target_beside_until_is_for_the_shots_that_are_not_searched():
    sweep = config(shots=(8, "least"), until=0.9, target=0.8)
    targets = {shots: sweep.cell("fine_tune", 0, shots, {}).target for shots in sweep.shots}
    assert targets == {8: 0.8, "least": 0.99}


def test_the_grid_goes_to_strategies_that_have_the_setting():
    sweep = config(settings={"k": ("1", "3"), "margin": ("0.4", "0.5"), "steps": ("9",)})
    assert list(sweep.grid(["k", "steps"])) == [{"k": "1", "steps": "9"}, {"k": "3", "steps": "9"}]
    assert list(sweep.grid([])) == [{}]
    assert len(list(sweep.grid(["k", "margin"]))) == 4


def test_a_run_is_a_sweep_of_one_row(tmp_path):
    run = RunConfig(
        "knn_fixed", "order", seeds=(1, 2), settings={"k": 3}, sizes={"mnli": 30}, output=tmp_path
    )
    sweep = SweepConfig.of_run(run)
    assert (sweep.strategies, sweep.shots, sweep.settings) == (("knn_fixed",), (None,), {"k": ("3",)})
    assert [sweep.cell("knn_fixed", seed, None, {"k": "3"}) for seed in sweep.seeds] == [
        replace(run, seeds=(seed,)) for seed in run.seeds
    ]


def test_a_stored_config_is_read_back(tmp_path):
    sweep = config(settings={"k": ("1", "3")}, sizes={"mnli": 30}, sources={"mnli": "x"}, output=tmp_path)
    assert SweepConfig(**to_record(sweep)) == sweep
    run = RunConfig("knn_fixed", "order", seeds=(1, 2), settings={"k": 3}, plugins=("a.py",), output=tmp_path)
    assert RunConfig(**to_record(run)) == run


FILE = """
strategies = ["knn_fixed", "fine_tune"]
scenario = "mnli_then_wikidata"
shots = [8, 16]
seeds = 2
mnli = "path/to/mnli"
mnli-size = 300
curve = true

[set]
k = [1, 3]
margin = 0.4
"""


def test_a_file_says_what_the_options_say(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(FILE)
    assert read_file(path) == {
        "strategies": ("knn_fixed", "fine_tune"),
        "scenario": "mnli_then_wikidata",
        "shots": (8, 16),
        "seeds": (0, 1),
        "sources": {"mnli": "path/to/mnli"},
        "sizes": {"mnli": 300},
        "curve": True,
        "settings": {"k": [1, 3], "margin": 0.4},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strategy = 'knn_fixed'", ":1: 'strategy' is unknown; did you mean strategies or step?"),
        ("shots = 8", ':1: shots is 8; expected a list of numbers, "least" or "all"'),
        ("shots = [true]", ':1: shots is True; expected a list of numbers, "least" or "all"'),
        ("mnli-size = 'all'", ":1: mnli-size is 'all'; expected a whole number"),
        ("set = 3", ":1: set is 3; expected a table of values, as [set]"),
        ("curve = 1", ":1: curve is 1; expected true or false"),
        (
            "curve = true\n[set]\nk = 1\n[pretrian]",
            ":4: 'pretrian' is unknown; did you mean pretrain or precision or relearn?",
        ),
        (
            "seeds = [1, true]",
            ":1: seeds is True; expected a number of seeds, a list of numbers or a text as 0-4",
        ),
        ("label_noise = true", ":1: label_noise is True; expected a number"),
        (
            "form = 'lexicalized'",
            ":1: form 'lexicalized' is unknown; did you mean lexicalised or delexicalised?",
        ),
        ("shots = [8", ":1: not TOML (Unclosed array)"),
        (
            "mnli = 'one'\n[task]\nmnli = 'other'",
            ": [task] mnli is also given by a key of its own; give it once",
        ),
        (
            "mnli-size = 30\n[size]\nmnli = 40",
            ": [size] mnli is also given by a key of its own; give it once",
        ),
    ],
)
def test_a_wrong_line_of_a_file_is_named(text, message, tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    with pytest.raises(ContsymError, match=f"^--config {re.escape(f'{path}{message}')}"):
        read_file(path)


def test_values_of_a_file_are_those_that_are_typed(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(FILE + "calibrated = true")
    assert SweepConfig(**read_file(path)).settings == {
        "k": ("1", "3"),
        "margin": ("0.4",),
        "calibrated": ("true",),
    }
    path.write_text(FILE + "since = 2020-01-01")
    with pytest.raises(SettingError, match=r"^--set since=.*: expected a text, a number, True or False$"):
        SweepConfig(**read_file(path))


@pytest.mark.parametrize(
    ("found", "name"),
    [({"shots": ()}, "shots"), ({"strategies": ()}, "strategies"), ({"settings": {"k": []}}, "k")],
)
def test_an_empty_list_is_no_value_of_one_run(found, name):
    with pytest.raises(SettingError, match=f"^here: {name} is empty; expected one"):
        for_one_run(found, (), "here")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ContsymError, match=r"cannot be read .*; expected a TOML file$"):
        read_file(tmp_path / "none.toml")
