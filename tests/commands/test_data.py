"""`contsym data` as a user types it: what is printed, and what a mistake says."""

import io
import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from contsym.cli import cli
from contsym.commands.views.data import audit_lines
from contsym.data.audit import Finding, Overview
from contsym.errors import ContsymError
from tests.command import contsym_here
from tests.data.built import couples, triples_file

FACTS = [
    *couples(30),
    *couples(30, "P40", "child"),
    *couples(30, "P47", "place"),
    *couples(30, "P22", "father"),
]


def data(*arguments, error=None):
    """stdout of `contsym data ...`; with `error`, the message of the user's mistake."""
    done = CliRunner().invoke(cli, ["data", *map(str, arguments)], terminal_width=80)
    if error is not None:
        assert isinstance(done.exception, ContsymError), done.output
        assert error in f"error: {done.exception}"
        assert "\n" not in str(done.exception)
    else:
        assert done.exception is None, done.exception
    return done.stdout


@pytest.fixture
def folder(tmp_path):
    path = triples_file(tmp_path, [*FACTS, ("a", "P17", "b"), ("self", "P26", "self")])
    data("build", "--triples", path, "--split", "relation", "--to", tmp_path / "set")
    return tmp_path / "set"


def test_build_prints_what_was_made(tmp_path):
    path = triples_file(tmp_path, [*FACTS, ("a", "P17", "b"), ("self", "P26", "self")])
    shown = data("build", "--triples", path, "--to", tmp_path / "set")
    for part in (
        "spouse",
        "symmetric",
        "left out  1 triples of an entity with itself",
        "SHA-256",
        "next: contsym data audit",
    ):
        assert part in shown
    assert "P17 (1) country: Wikidata lets a state be its own country" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80


def test_build_as_json_is_the_manifest(tmp_path):
    path = triples_file(tmp_path, FACTS)
    made = json.loads(data("build", "--triples", path, "--to", tmp_path / "set", "--json"))
    assert made == json.loads((tmp_path / "set" / "manifest.json").read_text())


def test_stats_of_a_built_set_and_of_any_other(folder):
    shown = data("stats", folder)
    assert "relation: no relation on both sides" in " ".join(shown.split())
    assert json.loads(data("stats", folder, "--json"))["split"]["rule"] == "relation"
    assert "P26" in data("stats", "bundled")
    found = json.loads(data("stats", "bundled", "--task", "mnli", "--json"))
    assert found["rows"] == {"train": 2000, "validation": 600, "test": 600}
    assert found["labels"]["test"] == {"contradiction": 200, "entailment": 200, "neutral": 200}
    assert found["relations"] == {"train": {}, "validation": {}, "test": {}}


def test_audit_shows_leaks_and_shortcuts(folder):
    shown = data("audit", folder)
    for part in ("one of the entities", "relation phrase", "hypothesis only", "overlap"):
        assert part in shown
    assert max(map(len, shown.splitlines())) <= 80
    found = json.loads(data("audit", folder, "--json"))
    assert found["shortcuts"]["relation_phrase"] == 0.5
    assert found["split"] == "relation"
    assert [leak["n_rows"] for leak in found["leaks"] if leak["promised"]] == [0, 0]


def test_what_was_not_looked_for_is_not_said_to_be_missing():
    leaks = (Finding("the same pair", 0, 0.0, ()), Finding("the relation", 0, None, ()))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(audit_lines([Overview("own", leaks, {"majority": 0.5})]))
    assert "nothing; not looked for: relation " in console.export_text()


def test_audit_with_the_shots_of_a_run(folder):
    assert json.loads(data("audit", folder, "--shots", "8", "--json"))["n_trained_on"] == 8
    data("audit", folder, "--shots", "999999", error="--shots 999999")
    error = "--shots 8: shots are not drawn from MNLI; leave --shots out"
    data("audit", "bundled", "--task", "mnli", "--shots", "8", error=error)


def test_audit_of_another_split_than_the_set_came_with(folder):
    shown = json.loads(data("audit", folder, "--split", "pair", "--json"))
    assert shown["split"] == "pair"
    assert shown["shortcuts"]["relation_phrase"] == 1.0


def test_show_prints_pairs_of_a_relation_in_either_part(folder):
    for relation in ("P26", "P47", "P40", "P22"):
        rows = json.loads(data("show", folder, "--relation", relation, "-n", "3", "--json"))
        assert len(rows) == 3
        assert {row["relation"] for row in rows} == {relation}
    assert "contradiction" in data("show", folder, "--label", "contradiction", "-n", "1")
    rows = json.loads(data("show", folder, "--part", "test", "-n", "2", "--form", "delexicalised", "--json"))
    assert [row["part"] for row in rows] == ["test", "test"]
    assert all("ent-" in row["premise"] for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "bundled", "--relation", "P62"), "--relation P62: no pair of it in bundled; did you mean"),
        (("show", "bundled", "--label", "neutral"), "--label neutral: no such pair in bundled"),
        (("stats", "no/such"), "error: no/such: no such file or folder"),
        (("audit", "bundled", "--encoder", "no/such/encoder"), "no/such/encoder"),
        (
            ("build", "--triples", "no.tsv", "--to", "x"),
            "--triples no.tsv: no such file; expected the path of a file",
        ),
    ],
)
def test_a_mistake_is_one_line(arguments, message):
    data(*arguments, error=message)


def test_the_command_itself_ends_with_2_and_leaves_nothing(tmp_path):
    (tmp_path / "t.tsv").write_text("a\tP26\n")
    done = contsym_here("data", "build", "--triples", "t.tsv", "--to", "set", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: t.tsv:1: 2 columns; expected 3, separated by tabs")
    assert "Traceback" not in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.tsv"]


def test_options_of_a_built_folder_count(folder):
    """What it is made of is said by its manifest, and one of its forms is counted."""
    as_task = json.loads(data("stats", folder, "--form", "delexicalised", "--json"))
    assert as_task["task"] == "wikidata" and set(as_task["labels"]) == {"train", "validation", "test"}
    assert "relations" in json.loads(data("stats", folder, "--json"))
    data("stats", folder, "--task", "mnly", error="task 'mnly' is unknown; did you mean mnli")


@pytest.mark.parametrize("option", [("--draw", "natural"), ("--seed", 7)])
def test_an_audit_of_all_pairs_draws_none(folder, option):
    error = f"{option[0]} {option[1]}: without --shots nothing is drawn; add --shots N, or leave it out"
    data("audit", folder, *option, error=error)
