"""The readings of a sweep file: combinations, what each replaces, and which have all seeds."""

import json
from dataclasses import replace

import pytest

from contsym.config import to_record
from contsym.errors import ContsymError, SettingError
from contsym.sweeps.config import SweepConfig, read_file
from contsym.sweeps.plan import Sweep, plan_sweep, write_record
from contsym.sweeps.readings import Reading

FILE = """
strategies = ["fine_tune"]
scenario = "mnli_then_wikidata"
shots = [64]
seeds = 4
screen = 2

[[reading]]
main = true
one_pass = true
until = 1.0
set = { batch_size = 16 }

[[reading]]
one_pass = true
until = 1.0
set = { batch_size = [1, 16] }

[[reading]]
shots = "least"
draw = ["balanced", "natural"]
"""


def config_of(tmp_path, text=FILE):
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    return SweepConfig(**read_file(path))


def test_lists_multiply_and_a_repeated_reading_counts_once(tmp_path):
    config = config_of(tmp_path)
    assert [(reading.name, reading.is_main) for reading in config.readings] == [
        ("one_pass=true until=1.0 batch_size=16", True),
        ("one_pass=true until=1.0 batch_size=1", False),
        ("shots=least draw=balanced", False),
        ("shots=least draw=natural", False),
    ]


def test_a_repeated_reading_is_main_whichever_entry_says_so(tmp_path):
    entries = "[[reading]]\none_pass = true\n[[reading]]\nmain = true\none_pass = true\n"
    config = config_of(tmp_path, FILE.partition("[[reading]]")[0] + entries)
    assert [(reading.name, reading.is_main) for reading in config.readings] == [("one_pass=true", True)]


def test_each_reading_is_a_sweep_with_its_own_options(tmp_path):
    parts = {reading.name: part for reading, part in config_of(tmp_path).parts()}
    main = parts["one_pass=true until=1.0 batch_size=16"]
    assert (main.one_pass, main.until, main.shots, main.seeds) == (True, 1.0, (64,), (0, 1, 2, 3))
    assert main.settings == {"batch_size": ("16",)}
    least = parts["shots=least draw=natural"]
    assert (least.one_pass, least.shots, least.draw, least.seeds) == (False, ("least",), "natural", (0, 1))
    assert not least.readings and least.screen is None


def test_a_reading_may_have_some_of_the_strategies(tmp_path):
    text = FILE.replace('["fine_tune"]', '["knn_fixed", "fine_tune"]')
    named = text.replace('shots = "least"', 'strategies = ["fine_tune"]\nshots = "least"')
    *others, least, natural = (part for _, part in config_of(tmp_path, named).parts())
    assert least.strategies == natural.strategies == ("fine_tune",)
    assert {part.strategies for part in others} == {("knn_fixed", "fine_tune")}
    twice = named + '[[reading]]\nshots = "least"\ndraw = "natural"\n'
    message = "given for fine_tune, and again for all strategies; expected one entry with all of them"
    with pytest.raises(SettingError, match=message):
        config_of(tmp_path, twice)
    # Fewer strategies of the sweep, as by --strategies, leave a reading out.
    narrow = config_of(tmp_path, named.replace('["knn_fixed", "fine_tune"]', '["knn_fixed"]'))
    assert [reading.name for reading, _ in narrow.parts()] == [
        reading.name for reading in narrow.readings if reading.strategies is None
    ]
    with pytest.raises(ContsymError, match="'fine_tun' is unknown"):
        config_of(tmp_path, named.replace('= ["fine_tune"]', '= ["fine_tun"]'))


def test_a_sweep_without_readings_is_its_only_part():
    config = SweepConfig(("fine_tune",), "mnli_then_wikidata", (8,))
    assert config.parts() == [(Reading(), config)]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("[[reading]]\nmain = true", "an option in every [[reading]], as one_pass = true"),
        ('[[reading]]\ndraw = "half"', "draw"),
        ("[[reading]]\nencoder = 'minilm'", "encoder"),
        ("[[reading]]\nprotocol = 'sequential'", "nothing is measured while it trains"),
        (
            "[set]\nk = [1, 3]",
            "one_pass=true until=1.0 batch_size=16: k are 1, 3; expected one for each reading",
        ),
    ],
)
def test_what_a_reading_may_not_say_is_said(tmp_path, entry, message):
    with pytest.raises(ContsymError, match=message.replace("[", r"\[").replace("]", r"\]")):
        config_of(tmp_path, FILE + entry)


def test_several_shots_are_several_readings(tmp_path):
    text = FILE.replace("shots = [64]", "shots = [16, 64]")
    with pytest.raises(SettingError, match="shots are 16, 64; expected one for each reading, as a list in"):
        config_of(tmp_path, text)
    in_each = text.replace("one_pass = true", "one_pass = true\nshots = [16, 64]")
    assert len(config_of(tmp_path, in_each).parts()) == 6


def test_the_step_of_a_sweep_goes_to_the_readings_that_look_for_the_least(tmp_path):
    parts = config_of(tmp_path, FILE.replace("screen = 2", "screen = 2\nstep = 8\ncurve = true")).parts()
    assert {part.step for _, part in parts if part.shots == ("least",)} == {8}
    assert {part.step for _, part in parts if part.shots == (64,)} == {16}


def test_a_stored_sweep_has_the_same_parts_as_the_typed_one(tmp_path):
    text = FILE.replace("screen = 2", "screen = 2\nstep = 8\ntarget = 0.9\nuntil = 0.95\ncurve = true")
    text = text.replace('["fine_tune"]', '["fine_tune", "knn_fixed"]') + (
        '[[reading]]\nprotocol = "sequential"\nstrategies = ["fine_tune"]\n'
        '[[reading]]\ndraw = "natural"\nstrategies = ["ncm"]\n[pretrain]\nsteps = 3\n'
    )
    config = replace(config_of(tmp_path, text), output=tmp_path, encoder="minilm")
    stored = write_record(Sweep(config, (), "2026-01-02T03:04:05+00:00")).parts()
    parts = {reading.name: part for reading, part in config.parts()}
    assert list(stored) == list(parts) and len(parts) == 5
    for name, part in parts.items():
        # The seeds of a stored part are those of its cells, of which there are none here.
        typed, found = to_record(part), json.loads(stored[name].config.model_dump_json())
        assert {key: found[key] for key in found if key != "seeds"} == {
            key: typed[key] for key in found if key != "seeds"
        }, name


def test_screening_for_the_papers_table_takes_its_tasks(tmp_path):
    config = config_of(tmp_path, FILE.replace("mnli_then_wikidata", "wikidata_only"))
    with pytest.raises(SettingError, match=r"^screen 2: it is for the reading nearest to the paper's table"):
        plan_sweep(config)


def test_screening_takes_readings_and_at_most_the_seeds_of_the_sweep(tmp_path):
    with pytest.raises(SettingError, match=r"^screen 5: expected 1 to 4, the seeds of the sweep$"):
        config_of(tmp_path, FILE.replace("screen = 2", "screen = 5"))
    with pytest.raises(
        SettingError, match=r"^screen 2: there is no reading to screen; expected \[\[reading\]\]"
    ):
        config_of(tmp_path, FILE.partition("[[reading]]")[0])


def test_the_protocols_pretraining_goes_to_the_readings_that_have_one(tmp_path):
    text = FILE.replace("screen = 2", "screen = 2\ncurve = true")
    text += '[[reading]]\nprotocol = ["retrain", "sequential"]\n[pretrain]\nsteps = 3\n'
    parts = {reading.name: part for reading, part in config_of(tmp_path, text).parts()}
    assert parts["protocol=retrain"].pretrain == {"steps": "3"} and not parts["protocol=sequential"].pretrain
