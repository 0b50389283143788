"""The readings of a sweep file: combinations, what each replaces, and which have all seeds."""

import pytest

from contsym.errors import ContsymError, SettingError
from contsym.sweeps.config import SweepConfig, read_file
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
    head, _, entries = text.partition("[[reading]]")
    named = f'{head}[[reading]]\nstrategies = ["fine_tune"]\n{entries}'
    first, *others = (part for _, part in config_of(tmp_path, named).parts())
    assert first.strategies == ("fine_tune",)
    assert {part.strategies for part in others} == {("knn_fixed", "fine_tune")}
    with pytest.raises(SettingError, match=r"ncm is not a strategy of the sweep; expected some of knn_fixed"):
        config_of(tmp_path, named.replace('= ["fine_tune"]', '= ["ncm"]'))


def test_a_sweep_without_readings_is_its_only_part():
    config = SweepConfig(("fine_tune",), "mnli_then_wikidata", (8,))
    assert config.parts() == [(Reading(), config)]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("[[reading]]\nmain = true", "an option in every [[reading]], as one_pass = true"),
        ('[[reading]]\ndraw = "half"', "draw"),
        ("[[reading]]\nencoder = 'minilm'", "encoder"),
    ],
)
def test_what_a_reading_may_not_say_is_said(tmp_path, entry, message):
    with pytest.raises(ContsymError, match=message.replace("[", r"\[").replace("]", r"\]")):
        config_of(tmp_path, FILE + entry)


def test_screening_takes_at_most_the_seeds_of_the_sweep(tmp_path):
    with pytest.raises(SettingError, match=r"^screen 5: expected 1 to 4, the seeds of the sweep$"):
        config_of(tmp_path, FILE.replace("screen = 2", "screen = 5"))


def test_the_protocols_pretraining_goes_to_the_readings_that_have_one(tmp_path):
    text = FILE + '[[reading]]\nprotocol = ["retrain", "sequential"]\n[pretrain]\nsteps = 3\n'
    parts = {reading.name: part for reading, part in config_of(tmp_path, text).parts()}
    assert parts["protocol=retrain"].pretrain == {"steps": "3"} and not parts["protocol=sequential"].pretrain
