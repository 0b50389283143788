"""The page and the terminal's tables of a comparison: every figure is in them, and names are text."""

import io
import json

import pytest
from rich.console import Console

from contsym.commands.views.diff import diff_report
from contsym.differences import run
from contsym.differences.page import check_folder, command, make_page, name_of, request, write_page
from contsym.differences.run import diff
from contsym.differences.schema import Part
from contsym.differences.sentences import answer, departed, distance_text, moved, within
from contsym.report.render import to_html
from contsym.report.table_formats import to_csv
from tests.errors import message_of

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
    assert text.count("  majority    0.333   0.333 ") == 2
    assert "*1.000  100%" in tables and "*: the 95% interval of its difference from NEW" in tables
    for part in found.parts:
        assert part.cka_distance is None or distance_text(part.cka_distance) in tables


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
    assert "NEW is worse on" in text
    assert "The weights moved most in layer 2, by 4.000 of their length" in text
    assert (
        "The states first differ in layer 2, and depart most there: the cosine drift rises from 0 to" in text
    )
    assert (
        "With layer 2 of OLD put back alone, toy by its own head is 1.000: 100% of the loss returns." in text
    )


def test_states_of_one_damaged_layer_and_of_training_are_named():
    def parts(*drifts, cka=None):
        names = ("embeddings", "layer 1", "layer 2", "layer 3")
        return [
            Part(name=n, weights=None, cka_distance=c, drift=d, neighbours_lost=d, tensors=())
            for n, d, c in zip(names, drifts, cka or drifts, strict=True)
        ]

    # Damage in layer 2, whose 1 - CKA still grows above it.
    damage = parts(0.0, 0.0, 0.37, 0.41, cka=(0.0, 0.0, 0.10, 0.35))
    assert departed(damage).startswith("The states first differ in layer 2, and depart most there")
    # Layers above can make more of it.
    assert departed(parts(0.0, 0.1, 0.15, 0.5)) == (
        "The states first differ in layer 1, and depart most in layer 3: the cosine drift rises from 0.150 to 0.500."
    )
    assert departed(parts(0.0004, 0.1, 0.15, 0.5)).startswith("The states depart most in layer 3")
    assert departed(parts(0.0, 0.0, 0.0, 0.0)) == "No state differs."


def test_a_loss_in_a_kind_is_not_hidden_by_a_gain_of_the_whole(found):
    first = found.abilities[0]

    def group(name, change, p, column="kind"):
        return first.groups[0].model_copy(update={"name": name, "column": column, "change": change, "p": p})

    groups = (
        group("antisymmetric", 0.7161, 0.001),
        group("symmetric", -0.2424, 0.008),
        group("P26", -0.5, 0.04, "relation"),
        group("P22", -0.9, 0.06, "relation"),
        *(group(f"s{i}", 0.1 - i / 100, 0.01, "skill") for i in range(5)),
    )
    ability = first.model_copy(
        update={"change": 0.4, "low": 0.27, "high": 0.52, "p": 0.001, "groups": groups}
    )
    changed = found.model_copy(update={"abilities": (ability,), "transplants": ()})
    assert answer(changed)[:3] == [
        "No ability as a whole is shown to be worse.",
        "NEW is better on toy by its own head (+0.400, +0.270 to +0.520).",
        "Within toy by its own head, symmetric (-0.242) and spouse (P26) (-0.500) are worse, antisymmetric (+0.716) and "
        "s0 (+0.100) and s1 (+0.090) and s2 (+0.080) are better; 2 more groups changed.",
    ]
    assert within(changed.model_copy(update={"abilities": ()})) == ""


def test_unmoved_parts_are_counted_among_the_others():
    def sentence(n_moved, n=7):
        return moved(
            [
                Part(
                    name=f"layer {i}",
                    weights=float(i < n_moved) * (2 - i / 10),
                    cka_distance=None,
                    drift=None,
                    neighbours_lost=None,
                    tensors=(),
                )
                for i in range(n)
            ]
        )

    most = "The weights moved most in layer 0, by 2.000 of their length"
    assert sentence(1) == f"{most}; the other 6 parts not at all."
    assert sentence(2) == f"{most}; 5 of the other 6 parts not at all."


def test_a_fall_before_correction_is_not_hidden(found):
    ability = found.abilities[0].model_copy(
        update={"change": -0.15, "low": -0.267, "high": -0.033, "p": 0.064, "least": 0.2, "groups": ()}
    )
    sentences = answer(found.model_copy(update={"abilities": (ability,), "transplants": ()}))
    assert sentences[0] == (
        "No loss is significant after correction, but toy by its own head is lower by 0.150 (p 0.064)."
    )
    assert sentences[1].endswith("seen): toy by its own head (0.200).")


def test_of_a_checkpoint_and_its_copy_nothing_is_said_to_differ(trained, twin, pairs_file, monkeypatch):
    monkeypatch.setattr(run, "BUNDLED_TASKS", ())
    text = " ".join(text_of(diff(trained, twin, {"toy": pairs_file})).split())
    assert "No ability is shown to be worse." in text
    assert "No weight differs. No state differs." in text
    assert "put back" not in text


def test_every_number_of_the_result_is_in_a_table_of_the_page(found):
    page = make_page(found)
    tables = {table.name: to_csv(table).splitlines() for table in page.tables}
    groups = [g for a in found.abilities for g in a.groups]
    n_returned = sum(len(t.abilities) for t in found.transplants)
    expected = {
        "abilities": 6,
        "flips": 6,
        "label-shares": sum(len(a.shares) for a in found.abilities),
        "groups": len([g for g in groups if g.change]),
        "groups-unchanged": len([g for g in groups if not g.change]),
        "parts": len(found.parts),
        "weights": len([t for p in found.parts for t in p.tensors if t.weights]),
        "returned": n_returned,
        "tasks": 2,
    }
    assert {name: len(tables.get(name, [""])) - 1 for name in expected} == expected
    assert {line.partition(",")[0] for line in tables["weights"][1:]} == {"layer 2"}
    assert f"toy,own head,90,{1 / 3},1.0,{found.abilities[0].after}" in tables["abilities"][1]


def test_names_are_text_and_the_page_loads_nothing(found, tmp_path):
    html, tables = write_page(found, tmp_path)
    text = html.read_text()
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 1 + 6 * 90
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


def test_only_the_page_of_the_same_comparison_is_replaced(found, trained, damaged, pairs_file, tmp_path):
    typed = found.model_copy(update={"tasks": found.tasks[:1], "abilities": found.abilities[:3]})
    folder = tmp_path / "page"
    asked = {"form": typed.form, "limit": typed.limit, "seed": 0, "put_back": True}
    same = request(str(trained), str(damaged), {"toy": str(pairs_file)}, **asked)
    check_folder(folder, same)
    write_page(typed, folder)
    check_folder(folder, same)
    other = request(str(damaged), str(trained), {"toy": str(pairs_file)}, **asked)
    for where, words in ((folder, other), (folder, f"{same} --seed 1"), (folder / "tables", same)):
        assert message_of(check_folder, where, words) == (
            f"--to {where}: is there already, and is not the page of this comparison; expected a new folder"
        )
