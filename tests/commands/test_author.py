"""`contsym new` and `contsym check` as a user types them: files that pass at once, and what fails.

Over 400 lines: both commands over all kinds of files that can be made.
"""

import json
import re
import sys

import pytest
from click.testing import CliRunner

from contsym.cli import cli
from contsym.commands.author import check
from contsym.commands.list import _wrapped
from contsym.plugins import read
from contsym.scenarios.catalog import scenarios
from contsym.strategies.catalog import read_card
from contsym.tasks.catalog import tasks
from contsym.testing import conformance
from contsym.testing.conformance import CHECKS
from tests.command import contsym_here


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A folder in which a strategy and a scenario were begun, and what was printed."""
    folder = tmp_path_factory.mktemp("begun")
    return (
        folder,
        contsym_here("new", "strategy", "my_method", cwd=folder),
        contsym_here("new", "scenario", "my_scenario", "--to", "sub/folder", cwd=folder),
    )


def test_new_says_what_it_wrote_and_what_to_type_next(begun):
    folder, strategy, scenario = begun
    assert (strategy.returncode, strategy.stderr) == (0, "")
    assert strategy.stdout == (
        "wrote my_method.py and test_my_method.py\ntry it: contsym check my_method --plugin my_method.py\n"
        "and its test: python -m pytest test_my_method.py\n"
    )
    assert (scenario.returncode, scenario.stderr) == (0, "")
    assert scenario.stdout == (
        "wrote sub/folder/my_scenario.toml\n"
        "try it: contsym run --strategy zero_shot --scenario my_scenario "
        "--plugin sub/folder/my_scenario.toml\n"
    )
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*.*")) == [
        "my_method.py",
        "sub/folder/my_scenario.toml",
        "test_my_method.py",
    ]


def test_the_new_strategy_is_short_and_has_a_whole_card(begun):
    text = (begun[0] / "my_method.py").read_text("utf-8")
    card = read_card("my_method", text)
    assert (card.trains, card.stores, card.grows) == (
        "encoder and label vectors",
        "one vector per label",
        "labels",
    )
    assert "class MyMethod(Strategy):" in text
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) < 50


@pytest.mark.slow
def test_the_new_test_passes_at_once(begun, fork):
    program = (
        f"import os, sys, pytest\nos.chdir({str(begun[0])!r})\n"
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', 'test_my_method.py']))"
    )
    done = fork.run([sys.executable, "-c", program])
    assert done.returncode == 0, done.stdout + done.stderr
    # Its own figure beside the checks; none of them is skipped.
    assert f"{len(CHECKS) + 1} passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.fixture
def few_checks(monkeypatch):
    """Leaves all but the named checks out of the suite; tests/test_tutorial.py has the whole of it, for many seconds."""

    def keep(*names):
        monkeypatch.setattr(conformance, "CHECKS", {name: CHECKS[name] for name in names})
        return names

    return keep


def test_check_prints_a_line_a_check(begun, few_checks):
    names = few_checks("has a card", "refuses wrong settings", "learns a separable task")
    done = contsym_here("check", "my_method", "--plugin", "my_method.py", cwd=begun[0])
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, last = done.stdout.splitlines()
    assert [line[: len("pass  ") + max(map(len, names))].split(None, 1) for line in lines] == [
        ["pass", name.ljust(max(map(len, names)))] for name in names
    ]
    assert last == "my_method conforms"
    # No progress outside a terminal, and no warning of a library.
    assert done.stderr == ""
    assert "accuracy 1.00 after 100 steps" in done.stdout


def test_an_error_that_recurs_is_one_line(monkeypatch):
    # The shape of what was scored is that of the check's data.
    fails = {name: f"scores are ({len(name)},)" for name in list(CHECKS)[2:]}
    monkeypatch.setattr(conformance, "Bench", lambda *_, **__: None)
    monkeypatch.setattr(
        conformance,
        "outcome",
        lambda _, name: conformance.Outcome(name, "fail" if name in fails else "pass", fails.get(name, "")),
    )
    done = CliRunner().invoke(check, ["ridge"])
    assert done.exit_code == 1
    assert [line.split("  ")[:2] for line in done.stdout.splitlines()] == [
        ["pass", "has a card"],
        ["pass", "refuses wrong settings"],
        ["fail", "scores are finite"],
        ["fail", f"{len(fails) - 1} further checks end in the same error"],
        [f"ridge: {len(fails)} of {len(CHECKS)} checks failed"],
    ]


def test_a_list_is_wrapped_at_words_in_a_terminal_alone(monkeypatch):
    line = "Fine-tuning: a linear classifier on four parts"
    assert _wrapped("  ewc  ", line) == f"  ewc  {line}"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")
    assert _wrapped("  ewc  ", line).splitlines() == [
        "  ewc  Fine-tuning: a linear",
        "       classifier on four",
        "       parts",
    ]


def test_new_scenarios_and_strategies_are_listed(begun):
    done = contsym_here(
        *("list", "--plugin", "my_method.py", "--plugin", "sub/folder/my_scenario.toml"), cwd=begun[0]
    )
    assert done.returncode == 0, done.stderr
    assert (
        "  your own\n"
        "  my_method        One learned vector per label, compared by cosine with p ∘ h; encoder and vectors "
        "are trained.\n"
        "                   trains: encoder and label vectors · stores: one vector per label · from my_method.py\n"
    ) in done.stdout
    assert re.search(r"^  my_scenario +MNLI first, then Wikidata pairs\.$", done.stdout, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.usefixtures("no_workers", "untracked", "no_figures")
def test_a_new_task_is_checked_listed_and_trained_on(tmp_path, tiny_encoder_folder):
    """As docs/tasks.md says: two labels from a CSV file, three experiences of different labels, two strategies."""
    assert contsym_here("new", "task", "tickets", cwd=tmp_path).returncode == 0
    done = contsym_here("check", "tickets.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "tickets can be used: 40 texts" in done.stdout
    of_tests = contsym_here("check", "sis", cwd=tmp_path)
    assert of_tests.returncode == 0, of_tests.stderr
    assert "test · sis-" in of_tests.stdout and "sis can be used" in of_tests.stdout
    listed = contsym_here("list", "tasks", "--plugin", "tickets.toml", cwd=tmp_path).stdout
    assert "single · 2 labels: billing or fault" in listed
    topics = ["sea", "sky", "sun"]
    rows = "".join(f"the {topics[i % 3]} {i},{topics[i % 3]}\n" for i in range(60))
    (tmp_path / "nature.csv").write_text("text,label\n" + rows)
    (tmp_path / "three.toml").write_text(
        """summary = "Tickets, then nature twice."
[task.nature]
summary = "A word."
labels = ["sea", "sky", "sun"]
inputs = "single"
source = "nature.csv"
[[experience]]
task = "tickets"
[[experience]]
task = "nature"
name = "two"
labels = ["sea", "sky"]
[[experience]]
task = "nature"
name = "one"
labels = ["sun"]
"""
    )
    more = [
        "--plugin",
        "tickets.toml",
        "--encoder",
        str(tiny_encoder_folder),
        "--set",
        "steps=3",
        "--shots",
        "20",
    ]
    done = contsym_here(
        *("sweep", "--strategies", "fine_tune,setfit", "--scenario", "three.toml", "--seeds", "1", *more),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert contsym_here("report", cwd=tmp_path).returncode == 0
    (damaged := tmp_path / "tickets.csv").write_text(damaged.read_text() + "Hello,X\n")
    done = contsym_here("check", "tickets.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "tickets.csv:42: label 'X' is unknown; expected billing or fault" in done.stderr


MAILS = "body,tone,n\n" + "".join(
    f"Please help me with my order {i},polite,{i}\nSend it now or else {i},rude,{i}\n" for i in range(20)
)


def test_a_task_is_described_from_a_file_of_ones_own(tmp_path):
    (tmp_path / "mails.csv").write_text(MAILS)
    own = ("new", "task", "tone", "--from", "mails.csv", "--text", "body", "--label", "tone", "--to", "tasks")
    assert contsym_here(*own, cwd=tmp_path).stdout == (
        "wrote tasks/tone.toml: texts of column body; labels in the order of the file: polite, rude\n"
        "check its data: contsym check tasks/tone.toml\n"
        "name it in a scenario: contsym new scenario tone_only --plugin tasks/tone.toml\n"
        "run that: contsym run --strategy fine_tune --scenario tone_only.toml --plugin tasks/tone.toml\n"
    )
    done = contsym_here("check", "tasks/tone.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "polite" in done.stdout and "tone can be used: 40 texts" in done.stdout
    # Usual names of columns need no naming, and what a file has for a relation is kept.
    (tmp_path / "pairs.tsv").write_text(
        "sentence1\tsentence2\tgold_label\trelation\n" + "a b\tb a\tyes\tr\nc d\td c\tno\tr\n" * 20
    )
    assert contsym_here("new", "task", "pairs", "--from", "pairs.tsv", cwd=tmp_path).returncode == 0
    written = (tmp_path / "pairs.toml").read_text()
    assert (
        'labels = ["yes", "no"]\ninputs = "pair"\nsource = "pairs.tsv"' in written
        and '[columns]\npremise = "sentence1"\nhypothesis = "sentence2"\n' in written
    )


def labmates(more=""):
    phrases = [("is a lab mate of", "yes"), ("supervises the thesis of", "no")]
    rows = [
        f"P{i} {phrase} Q{i}.,Q{i} {phrase} P{i}.,{follows},{phrase}"
        for i in range(40)
        for phrase, follows in phrases
    ]
    return "\n".join(["sentence,swapped,follows,predicate", *rows, more])


def test_a_relation_of_ones_own_becomes_a_task_and_a_scenario_after_mnli(tmp_path):
    (tmp_path / "labmates.csv").write_text(labmates())
    named = (
        "--premise",
        "sentence",
        "--hypothesis",
        "swapped",
        "--label",
        "follows",
        "--relation",
        "predicate",
    )
    done = contsym_here("new", "task", "labmates", "--from", "labmates.csv", *named, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        'wrote labmates.toml: pairs of columns sentence and swapped, "A r B" and "B r A", so the relations are symmetric '
        "or antisymmetric (symmetry = true); yes is read as entailment, no is read as contradiction\n"
    )
    _, check, write, run = (line.partition(": ")[2].split()[1:] for line in done.stdout.splitlines())
    assert "labmates can be used: 80 pairs" in contsym_here(*check, cwd=tmp_path).stdout
    assert contsym_here(*write, cwd=tmp_path).returncode == 0
    plan = contsym_here(*run, "--dry-run", "--json", cwd=tmp_path)
    assert plan.returncode == 0, plan.stderr
    plugins = read([tmp_path / "labmates.toml", tmp_path / "mnli_then_labmates.toml"])
    scenario = scenarios(plugins)["mnli_then_labmates"]
    assert scenario.tasks == ("mnli", "labmates") and scenario.summary == "MNLI first, then labmates pairs."
    task = tasks(plugins)["labmates"]
    assert task.symmetry and task.columns["relation"] == "predicate"
    assert task.written == {"yes": "entailment", "no": "contradiction"}


def test_a_misspelt_label_is_pointed_at(tmp_path):
    rows = "".join(f"a {i},red\nb {i},blue\n" for i in range(30))
    (tmp_path / "own.csv").write_text(f"text,label\n{rows}c,blu\n")
    said = "label 'blu' has 1 of 61 rows ({}own.csv:62); if it is misspelt, correct it, or say under [written] what it "
    said += "stands for"
    done = contsym_here("new", "task", "own", "--from", "own.csv", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, f"! {said.format('')}\n")
    done = contsym_here("check", "own.toml", "--json", cwd=tmp_path)
    assert said.format(f"{tmp_path}/") in json.loads(done.stdout)["notes"]
    # Of a relation, a label without a meaning is left for its user to mend.
    (tmp_path / "labmates.csv").write_text(labmates("A is a lab mate of B,B is a lab mate of A,yse,r"))
    named = ("--premise", "sentence", "--hypothesis", "swapped", "--label", "follows")
    done = contsym_here("new", "task", "mates", "--from", "labmates.csv", *named, cwd=tmp_path)
    assert "label 'yse' has 1 of 81 rows (labmates.csv:82)" in done.stderr
    assert 'labels = ["entailment", "contradiction"]' in (tmp_path / "mates.toml").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--from", "none.csv"), "--from none.csv: no such file; expected a CSV, TSV or JSON Lines file with a label per "
         "row"),
        (("--from", "mails.csv"), "mails.csv: no column of a text is known; the file has body, tone, n; name it with --text "
         "COLUMN, or --premise and --hypothesis"),
        (("--from", "mails.csv", "--text", "body"), "mails.csv: no column of labels is known; the file has body, tone, n; "
         "name it with --label COLUMN"),
        (("--from", "mails.csv", "--text", "bodi"), "--text bodi: no such column; mails.csv has body, tone, n"),
        (("--from", "labmates.csv", "--label", "follows"), "labmates.csv: sentence and swapped may be texts; name one with "
         "--text COLUMN, or two with --premise and --hypothesis"),
        (("--from", "labmates.csv", "--premise", "sentence", "--label", "follows"), "--premise sentence: one text of a pair; "
         "labmates.csv has sentence, swapped, follows, predicate; name the other with --hypothesis COLUMN"),
        (("--from", "mails.csv", "--text", "body", "--premise", "n"), "--text and --premise; expected --text alone, or "
         "--premise and --hypothesis"),
        (("--from", "pipes.csv"), "pipes.csv: one column, body|tone; its columns are separated by '|': save it with commas"),
        (("--from", "tone.toml"), "tone.toml: format '.toml' is unknown; expected .jsonl, .json, .txt, .tsv, .csv, .parquet; "
         "a task's or scenario's own file is given with --plugin tone.toml"),
        (("--from", "one.csv"), "one.csv: column label has 1 different value; expected 2 to 1,000 labels; name another with "
         "--label COLUMN"),
        (("--from", "empty.csv"), "empty.csv: no column of a text is known; the file has nothing; name it with --text "
         "COLUMN, or --premise and --hypothesis"),
        (("--label", "tone"), "--label names a column of a file; expected --from FILE too"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_described_is_one_line(words, message, tmp_path):
    (tmp_path / "mails.csv").write_text(MAILS)
    (tmp_path / "one.csv").write_text("text,label\na,x\nb,x\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "labmates.csv").write_text(labmates())
    (tmp_path / "pipes.csv").write_text("body|tone\na|b\n")
    (tmp_path / "tone.toml").write_text("")
    done = contsym_here("new", "task", "mine", *words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, f"error: {message}\n")
    assert not (tmp_path / "mine.toml").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "--strategy", "fine_tune", "--scenario", "tone.toml"), "--scenario tone.toml: a task; expected a scenario, "
         'which names it: [[experience]] with task = "tone", and --plugin tone.toml (docs/tasks.md)'),
        (("sweep", "--strategies", "fine_tune", "--scenario", "mails.csv"), "--scenario mails.csv: a file of examples; "
         "expected a scenario, as mnli_then_wikidata; examples are given with --wikidata mails.csv or --task NAME=mails.csv"),
        (("check", "mails.csv"), "mails.csv: a file of examples; expected a strategy or a task's .toml, which contsym new "
         "task NAME --from mails.csv writes; contsym data stats counts pairs"),
        (("check", "two.toml"), 'two.toml: a scenario; expected a task, with labels = ["yes", "no"]; a scenario is checked '
         "by contsym run --scenario two.toml --dry-run"),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_said_to_be_one(words, message, tmp_path):
    (tmp_path / "mails.csv").write_text(MAILS)
    (tmp_path / "tone.toml").write_text('summary = "s"\nlabels = ["a", "b"]\nsource = "mails.csv"\n')
    (tmp_path / "two.toml").write_text('summary = "s"\n[[experience]]\ntask = "mnli"\n')
    done = contsym_here(*words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, f"error: {message}\n")


@pytest.mark.parametrize("there", ["my_method.py", "test_my_method.py"])
def test_nothing_is_overwritten(there, tmp_path):
    (tmp_path / there).write_text("mine")
    done = contsym_here("new", "strategy", "my_method", cwd=tmp_path)
    assert done.returncode == 2
    assert (
        done.stderr
        == f"error: {there} is there already and stays as it is; name another folder with --to DIR\n"
    )
    assert done.stdout == ""
    # Neither of the two files is written where one cannot be.
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("strategy", "My-Method"),
            "strategy 'My-Method': expected at most 40 lower-case letters, digits and _, a letter first, and no "
            "keyword of Python, as my_strategy",
        ),
        (
            ("scenario", "class"),
            "scenario 'class': expected at most 40 lower-case letters, digits and _, a letter first, and no keyword "
            "of Python, as my_scenario",
        ),
        (
            ("strategy", "knn_fixed"),
            "strategy 'knn_fixed' is there already (contsym list); choose another name",
        ),
        (("strategy", "ewc"), "strategy 'ewc' is there already (contsym list); choose another name"),
        (("scenario", "order"), "scenario 'order' is there already (contsym list); choose another name"),
        (
            ("strategy", "my_method", "--to", "file/sub"),
            "--to file/sub: cannot be written (Not a directory)",
        ),
    ],
)
def test_a_mistake_with_new_is_one_line(arguments, message, tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = contsym_here("new", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"error: {message}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("my_methd",), "strategy 'my_methd' is unknown; did you mean my_method? (contsym list)"),
        (
            ("my_method", "--set", "scal=3"),
            "--set scal: no setting of this strategy; did you mean scale? it has batch_size, clip_norm, epochs, "
            "freeze, learning_rate, min_steps, scale, schedule, steps, warmup, weight_decay",
        ),
        (
            ("my_method", "--set", "scale=-1"),
            "--set scale=-1: expected greater than 0",
        ),
        (
            ("mnli", "--set", "scale=3"),
            "--set: mnli is a task, whose data are read without a strategy or an encoder; leave it out",
        ),
    ],
)
def test_a_mistake_with_check_is_one_line_and_exit_code_2(arguments, message, begun):
    done = contsym_here("check", *arguments, "--plugin", "my_method.py", cwd=begun[0])
    assert done.returncode == 2
    assert done.stderr == f"error: {message}\n"
    assert done.stdout == ""


def test_check_of_a_task_without_its_suffix_names_its_file(tmp_path):
    assert contsym_here("new", "task", "tickets", cwd=tmp_path).returncode == 0
    done = contsym_here("check", "tickets", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "error: task 'tickets' is unknown; if tickets.toml is meant, add --plugin tickets.toml\n",
    )


def test_a_strategy_that_does_not_conform_exits_with_1(begun, tmp_path, few_checks):
    names = few_checks("has a card", "grows as declared")
    text = (begun[0] / "my_method.py").read_text("utf-8")
    assert text.count('"grows": "labels"') == 1
    (tmp_path / "my_method.py").write_text(text.replace('"grows": "labels"', '"grows": "no"'), "utf-8")
    done = CliRunner().invoke(cli, ["check", "my_method", "--plugin", str(tmp_path / "my_method.py")])
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    # One vector of 32 numbers of 4 bytes a label.
    assert [line for line in lines if not line.startswith("pass")] == [
        "fail  grows as declared  CARD[\"grows\"] is 'no', but bytes with 16 and 64 pairs 384 and 384, after one and two "
        "experiences 384 and 384, of a head for 3 and 6 labels 384 and 768",
        f"my_method: 1 of {len(names)} checks failed",
    ]
