"""Tables at the width of a terminal: every number whole, and no blank at the end of a line."""

import io

import pytest
from rich.console import Console

from contsym.commands.views.tables import FirstFitting, Lines, add_numbers, grid, plain_table


def text_of(*things, width=80):
    console = Console(width=width, file=io.StringIO())
    console.print(Lines(*things))
    return console.file.getvalue()


def table(n_columns, name="mnli"):
    made = plain_table("Accuracy", "after")
    add_numbers(made, *(f"task-{i}" for i in range(n_columns)))
    made.add_row(name, *(f"0.{i}23±0.456" for i in range(n_columns)))
    return made


@pytest.mark.parametrize("width", [40, 60, 80, 110])
@pytest.mark.parametrize("n_columns", [1, 3, 5, 12])
@pytest.mark.parametrize("name", ["mnli", "the_relations_of_a_very_long_name_" * 2])
def test_no_number_is_cut_at_any_width(width, n_columns, name):
    text = text_of(table(n_columns, name), width=width)
    words = text.split()
    assert [f"0.{i}23±0.456" for i in range(n_columns)] == [word for word in words if "±" in word]
    assert name in "".join(word for word in words if "±" not in word)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


def test_a_table_that_is_too_wide_becomes_lists():
    lines = text_of(table(12)).splitlines()
    assert lines[:4] == ["Accuracy", "", "after mnli", "  task-0   0.023±0.456"]


def test_a_name_is_broken_only_where_not_all_words_have_room():
    made = plain_table("", "name", "one", "two")
    made.add_row("a_name_of_twenty_six_signs", *["word " * 20] * 2)
    assert "a_name_of_twenty_six_signs" in text_of(made, width=60)
    # Three columns, with two blanks beside each: 26 + 4 + 4 + 12 are more than 40.
    assert "a_name_of_twenty_six_signs" not in text_of(made, width=40)


def test_a_table_without_its_less_important_columns_comes_before_lists():
    text = text_of(FirstFitting(table(12), table(3)))
    assert "task-2" in text.splitlines()[2] and "task-3" not in text


def test_nothing_stands_behind_the_end_of_a_line():
    facts = grid()
    facts.add_row("tracking", "sqlite:///" + 100 * "x")
    facts.add_row("seeds", "0")
    text = text_of(facts, table(3))
    assert all(line == line.rstrip() for line in text.splitlines())
    assert text.replace("\n", "").replace(" ", "").startswith("trackingsqlite:///" + 100 * "x" + "seeds0")
