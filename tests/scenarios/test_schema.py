"""Scenario files: valid entries, and one line with file, experience and entry for each invalid one."""

import itertools

import pytest

from contsym.errors import ContsymError
from contsym.scenarios.catalog import find_scenario, is_scenario_file, scenario_runs, scenarios
from contsym.scenarios.schema import Experience, read_scenario


def read(*experiences, head='summary = "A test."'):
    entries = "".join(f"\n[[experience]]\n{each}" for each in experiences)
    return read_scenario("mine", f"{head}\n{entries}", "mine.toml")


def test_a_task_that_comes_once_has_its_own_name():
    assert read('task = "mnli"', 'task = "wikidata"').names == ("mnli", "wikidata")
    assert all(each.is_plain for each in read('task = "mnli"', 'task = "wikidata"').experiences)


def test_a_task_that_comes_again_is_numbered():
    assert read(*3 * ['task = "wikidata"']).names == ("wikidata-1", "wikidata-2", "wikidata-3")
    assert read('task = "mnli"', 'task = "mnli"\nname = "again"').names == ("mnli", "again")


def test_parts_are_experiences_of_their_own():
    plan = read('task = "mnli"', 'task = "wikidata"\nparts = 3')
    assert plan.names == ("mnli", "wikidata-1", "wikidata-2", "wikidata-3")
    assert [each.part for each in plan.experiences] == [None, (1, 3), (2, 3), (3, 3)]
    assert read('task = "wikidata"\nparts = 2\nname = "stream"').names == ("stream-1", "stream-2")
    assert read('task = "wikidata"\npart = "2 of 5"').experiences[0].part == (2, 5)


def test_only_what_is_not_the_default_is_stored():
    (one,) = read('task = "wikidata"\npart = "2 of 5"\nlabel_noise = 0.25').experiences
    assert one == Experience(task="wikidata", name="wikidata", part=(2, 5), label_noise=0.25)
    assert one.as_dict() == {"task": "wikidata", "name": "wikidata", "part": [2, 5], "label_noise": 0.25}


BAD = [
    ("task = 1", "4: experience 1: task is 1; expected the name of a task (contsym list tasks)"),
    ('task = "wikidta"', "4: experience 1: task 'wikidta' is unknown; did you mean wikidata?"),
    ('form = "lexicalised"', "3: experience 1: task is missing; expected the name of a task (contsym list tasks)"),
    (
        'task = "wikidata"\nform = "both"',
        "5: experience 1: form 'both' is unknown; expected one of lexicalised, delexicalised",
    ),
    ('task = "wikidata"\nlabel_nose = 0.2', "5: experience 1: 'label_nose' is unknown; did you mean label_noise or labels?"),
    (
        'task = "wikidata"\nlabel_noise = 20',
        "5: experience 1: label_noise is 20; expected a share between 0 and 1, as 0.2",
    ),
    (
        'task = "wikidata"\nlabel_noise = true',
        "5: experience 1: label_noise is True; expected a share between 0 and 1, as 0.2",
    ),
    (
        'task = "wikidata"\npart = "6 of 5"',
        "5: experience 1: part is '6 of 5'; expected \"K of N\", as \"2 of 5\", with 1 <= K <= N and 2 <= N <= 1000",
    ),
    ('task = "wikidata"\nparts = 1', "5: experience 1: parts is 1; expected a number of parts, 2 to 1000"),
    ('task = "wikidata"\nparts = 2\npart = "1 of 2"', "3: experience 1: part and parts; expected one of them"),
    (
        'task = "wikidata"\nby = "pair"',
        "3: experience 1: by; expected part or parts beside it",
    ),
    (
        'task = "wikidata"\ntest = "all"',
        "3: experience 1: test; expected part, parts, relations or labels beside it",
    ),
    (
        'task = "mnli"\nparts = 2',
        '3: experience 1: mnli has no relations, which by needs; expected by = "pair"',
    ),
    (
        'task = "mnli"\nsplit = "relation"',
        "3: experience 1: mnli has no symmetric relations, which split needs; expected a task such as wikidata",
    ),
    (
        'task = "mnli"\nlabels = ["neutral", "maybe"]',
        "5: experience 1: labels 'maybe' is unknown; expected one of entailment, neutral, contradiction",
    ),
    (
        'task = "wikidata"\nrelations = ["P47", "P47"]',
        "5: experience 1: relations is ['P47', 'P47']; expected a list of different relations, as [\"P47\", \"P26\"]",
    ),
    (
        'task = "mnli"\nname = "my mnli"',
        "5: experience 1: name is 'my mnli'; expected up to 40 letters, digits and _.- that begin with a letter or "
        "digit",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "message"), BAD)
def test_what_an_experience_cannot_say(entry, message):
    with pytest.raises(ContsymError) as raised:
        read(entry)
    assert str(raised.value) == f"mine.toml:{message}"


@pytest.mark.parametrize(
    "experiences",
    [
        ('task = "mnli"\nname = "one"', 'task = "wikidata"\nname = "one"'),
        ('task = "mnli"\nname = "wikidata-1"', 'task = "wikidata"', 'task = "wikidata"'),
        ('task = "wikidata"\nparts = 2\nname = "s"', 'task = "wikidata"\nparts = 2\nname = "s"'),
    ],
)
def test_no_name_comes_twice(experiences):
    with pytest.raises(
        ContsymError, match=r"^mine\.toml: name '\S+' is used twice; expected one name per experience"
    ):
        read(*experiences)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("summary = ", "mine.toml:1: not TOML (Invalid value)"),
        ('summary = "x"\norders = "all"', "mine.toml:2: 'orders' is unknown; did you mean all_orders?"),
        (
            "[[experience]]\ntask = 'mnli'",
            "mine.toml: summary is missing; expected a sentence on the purpose of the scenario",
        ),
        (
            'summary = "x"',
            "mine.toml: experience is missing; expected at least one [[experience]] with a task",
        ),
        (
            'summary = "x"\nall_orders = true\n[[experience]]\ntask = "wikidata"\nparts = 6',
            "mine.toml: all_orders of 6 experiences; expected 2 to 5 of them",
        ),
        ('summary = "x"\nall_orders = 1\n[[experience]]\ntask = "mnli"',
         "mine.toml:2: all_orders is 1; expected true or false"),
    ],
)  # fmt: skip
def test_what_a_file_cannot_say(text, message):
    with pytest.raises(ContsymError) as raised:
        read_scenario("mine", text, "mine.toml")
    assert str(raised.value) == message


# -- orders --


def three():
    tasks = ('task = "mnli"', 'task = "wikidata"', 'task = "snli"')
    return read(*tasks, head='summary = "x"\nall_orders = true')


def test_all_orders_are_all_permutations_the_files_first():
    assert three().orders()[0] == ("mnli", "wikidata", "snli")
    assert sorted(three().orders()) == sorted(itertools.permutations(("mnli", "snli", "wikidata")))


def test_one_order_of_many():
    plan = three().in_order(("snli", "mnli", "wikidata"))
    assert (plan.name, plan.names, plan.all_orders) == (
        "mine:snli,mnli,wikidata", ("snli", "mnli", "wikidata"), False,
    )  # fmt: skip
    with pytest.raises(ContsymError) as raised:
        three().in_order(("snli", "mnli"))
    assert str(raised.value) == (
        "scenario mine: 'snli,mnli' is not an order of its experiences; expected each of mnli, wikidata, snli once"
    )


def test_a_numbered_experience_keeps_its_name_in_every_order():
    plan = read('task = "wikidata"\nparts = 2', head='summary = "x"\nall_orders = true')
    assert plan.in_order(("wikidata-2", "wikidata-1")).experiences[0].part == (2, 2)


# -- by name and by path --


def test_a_user_file_is_a_scenario(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'summary = "Mine."\nall_orders = true\n[[experience]]\ntask = "mnli"\n[[experience]]\ntask = "snli"\n'
    )
    assert find_scenario(str(path)).name == "mine"
    assert scenario_runs(str(path)) == [f"{path}:mnli,snli", f"{path}:snli,mnli"]
    assert find_scenario(f"{path}:snli,mnli").names == ("snli", "mnli")
    assert is_scenario_file(f"{path}:snli,mnli")
    assert not is_scenario_file("order:mnli,wikidata")


def test_a_file_that_is_not_there_is_one_line():
    with pytest.raises(ContsymError) as raised:
        find_scenario("no/such.toml")
    assert str(raised.value) == (
        "scenario no/such.toml: cannot be read (No such file or directory); expected a TOML file "
        "(docs/scenarios.md)"
    )


def test_a_mistyped_file_name_is_taken_for_a_file(tmp_path):
    with pytest.raises(ContsymError) as raised:
        find_scenario("mine.tml")
    assert str(raised.value) == (
        "scenario mine.tml: no such file; expected a TOML file, or a name (contsym list scenarios)"
    )


@pytest.mark.parametrize("place", ["scenarios", "."])
def test_a_task_whose_file_is_near_but_was_not_given(place, tmp_path, monkeypatch):
    (tmp_path / "scenarios").mkdir()
    (tmp_path / place / "labmates.toml").write_text('summary = "T"\nlabels = ["a", "b"]\n')
    (tmp_path / "scenarios" / "mine.toml").write_text('summary = "S"\n[[experience]]\ntask = "labmates"\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ContsymError) as raised:
        find_scenario("scenarios/mine.toml")
    file = "labmates.toml" if place == "." else f"{place}/labmates.toml"
    assert str(raised.value) == (
        "scenarios/mine.toml:2: experience 1: task 'labmates' is in a file of its own; give it with --plugin "
        + file
    )


def test_a_scenario_of_one_order_has_no_other():
    with pytest.raises(ContsymError) as raised:
        find_scenario("mnli_then_wikidata:wikidata,mnli")
    assert str(raised.value) == (
        "scenario mnli_then_wikidata has only one order; expected it without ':wikidata,mnli'"
    )


def test_the_scenarios_that_a_reviewer_asks_for_are_there():
    assert {
        *("new_label", "relations_one_by_one", "unseen_relations", "lexicalised_to_delexicalised"),
        *("domain_shift", "noisy_labels", "order", "long_stream"),
    } <= set(scenarios())
    assert len(find_scenario("relations_one_by_one").experiences) == 5
    assert len(find_scenario("long_stream").experiences) == 20
    for name, plan in scenarios().items():
        assert len(set(plan.names)) == len(plan.names), name
        assert len(plan.summary) <= 110, name
