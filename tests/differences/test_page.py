"""The page and the terminal's tables of a comparison: every figure is in them, and names are text."""

import io
import json

import pytest
from rich.console import Console

from contsym.commands.views.diff import diff_report
from contsym.differences import run
from contsym.differences.page import command, make_page, name_of
from contsym.differences.run import diff
from contsym.report.render import to_html, write_report
from contsym.report.table_formats import to_csv

EVIL = "</script><script>window.evil = 1</script><b>"


@pytest.fixture(scope="module")
def found(trained, damaged, pairs_file):
    rows = [json.loads(line) for line in pairs_file.read_text().splitlines()]
    tasks = {
        "toy": pairs_file,
        "evil": [{**row, "skill": EVIL if row["skill"] == "odd" else "even"} for row in rows],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "BUNDLED_TASKS", ())
        return diff(trained, damaged, tasks)


def text_of(found, width=80):
    console = Console(width=width, highlight=False, record=True, file=io.StringIO())
    console.print(diff_report(found))
    return console.export_text()


def test_no_number_is_cut_at_80_columns(found):
    text = text_of(found)
    assert max(map(len, text.splitlines())) <= 80
    tables = text[text.index("Accuracy on the same pairs") :]
    for ability in found.abilities:
        assert f"{ability.before:.3f}   {ability.after:.3f}   {ability.change:+.3f}" in tables
        assert f"{ability.low:+.3f} to {ability.high:+.3f}" in tables
    for part in found.parts:
        assert part.cka_distance is None or f"{part.cka_distance:.3f}" in tables


def test_long_names_are_folded_and_take_no_room_from_numbers(found):
    longest = "x" * 60
    groups = tuple(g.model_copy(update={"name": longest, "p": 0.0}) for g in found.abilities[0].groups)
    ability = found.abilities[0].model_copy(update={"task": longest, "groups": groups})
    task = found.tasks[0].model_copy(update={"name": longest})
    text = text_of(found.model_copy(update={"abilities": (ability,), "tasks": (task,), "transplants": ()}))
    assert "…" not in text and max(map(len, text.splitlines())) <= 80
    assert f"{groups[0].before:.3f}   {groups[0].after:.3f}   {groups[0].change:+.3f}   < 0.001" in text


def test_the_sentences_name_the_damage(found):
    text = " ".join(text_of(found).split())
    assert "NEW has lost" in text
    assert "The weights moved most in layer 2, by 4.000 of their length" in text
    assert "The states depart most in layer 2: 1 - CKA rises from 0.000" in text
    assert (
        "With layer 2 of OLD put back alone, toy by its own head is 1.000: 100% of the loss returns." in text
    )


def test_of_a_checkpoint_and_itself_nothing_is_said_to_differ(trained, pairs_file, monkeypatch):
    monkeypatch.setattr(run, "BUNDLED_TASKS", ())
    text = " ".join(text_of(diff(trained, trained, {"toy": pairs_file})).split())
    assert "No ability is shown to be lost." in text
    assert "No weight differs. No state differs." in text
    assert "put back" not in text


def test_every_number_of_the_result_is_in_a_table_of_the_page(found):
    page = make_page(found)
    tables = {table.name: to_csv(table).splitlines() for table in page.tables}
    n_groups = sum(len(a.groups) for a in found.abilities)
    n_returned = sum(len(t.abilities) for t in found.transplants)
    expected = {
        "abilities": 6,
        "groups": n_groups,
        "parts": len(found.parts),
        "returned": n_returned,
        "pairs": 2,
    }
    assert {name: len(tables[name]) - 1 for name in expected} == expected
    assert f"toy,own head,90,1.0,{found.abilities[0].after}" in tables["abilities"][1]


def test_names_are_text_and_the_page_loads_nothing(found, tmp_path):
    page = make_page(found)
    html, tables = write_report(page, tmp_path)
    text = html.read_text()
    assert EVIL not in text and "default-src 'none'" in text
    assert "from both checkpoints." in text
    assert {path.suffix for path in tables.iterdir()} == {".md", ".csv", ".tex"}
    assert to_html(make_page(found)) == text


def test_the_command_repeats_the_comparison(found, trained, damaged, pairs_file):
    assert command(found) == "", "rows in memory cannot be typed"
    typed = found.model_copy(update={"tasks": found.tasks[:1], "seed": 3})
    assert command(typed) == (
        f"contsym diff {trained} {damaged} --task toy={pairs_file} --seed 3 --device cpu --precision {found.precision}"
    )
    assert name_of(typed) != name_of(found) and "/" not in name_of(found)
