"""A row's identity is its id or its content, never its place."""

import csv
import json

import pytest

from contsym.data.shots import few_shot
from contsym.data.sources import load_task
from contsym.results import store
from contsym.tasks.schema import read_task
from contsym.training import reproduce
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.run import run_seeds
from tests.runs import result_folder, toy_config

SPLIT = "one part only: a hash of the text moves 20% of its pairs to the test part"


def pairs(n=80, **more):
    return [
        {
            "premise": f"town {i} {phrase} place {i}",
            "hypothesis": f"place {i} {phrase} town {i}",
            "label": label,
            "relation": phrase,
            "subject": f"town {i}",
            "object": f"place {i}",
            **{name: value(i) for name, value in more.items()},
        }
        for i in range(n // 2)
        for phrase, label in (("borders", "entailment"), ("owns", "contradiction"))
    ]


def jsonl(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def as_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


@pytest.mark.parametrize("form", ["lexicalised", "delexicalised", "both"])
def test_a_moved_file_and_another_format_are_the_same_data(form, tmp_path):
    rows = pairs()
    here = load_task("wikidata", jsonl(tmp_path / "here" / "pairs.jsonl", rows), form)
    there = load_task("wikidata", jsonl(tmp_path / "there" / "renamed.jsonl", rows), form)
    other = load_task("wikidata", as_csv(tmp_path / "pairs.csv", rows), form)
    assert here.fingerprint == there.fingerprint == other.fingerprint
    assert not any("pairs" in pair or str(tmp_path) in pair for pair in here.train["id"][:])
    assert len(set(here.train["id"][:])) == len(here.train)


def test_the_order_of_the_file_has_no_say_in_ids_or_shots(tmp_path):
    rows = pairs()
    one, other = (
        load_task("wikidata", jsonl(tmp_path / f"{i}.jsonl", each))
        for i, each in enumerate((rows, rows[::-1]))
    )
    assert sorted(one.train["id"][:]) == sorted(other.train["id"][:])
    assert few_shot(one.train, 16, 3)["premise"][:] == few_shot(other.train, 16, 3)["premise"][:]


def test_the_number_0_is_an_id_and_nothing_is_none(tmp_path):
    given = [0, 7.0, "0x", None, "", float("nan"), " "]
    rows = [{**row, "id": value} for row, value in zip(pairs(14)[::2], given, strict=True)]
    folder = tmp_path / "folder"
    jsonl(folder / "train.jsonl", rows)
    jsonl(folder / "test.jsonl", rows)
    jsonl(folder / "dev.jsonl", pairs(16)[15:])
    ids = load_task("wikidata", str(folder)).train["id"][:]
    assert ids[:3] == ["0", "7", "0x"]
    assert all(pair.startswith("row-") and len(pair) == 20 for pair in ids[3:])
    assert len(set(ids)) == 7


def test_exact_repeats_without_an_id_are_numbered(tmp_path):
    row = pairs(2)[0]
    folder = tmp_path / "folder"
    for part in ("train", "test"):
        jsonl(folder / f"{part}.jsonl", [row, row, row])
    jsonl(folder / "dev.jsonl", pairs(2)[1:])
    data = load_task("wikidata", str(folder))
    first, *others = data.train["id"][:]
    assert others == [f"{first}#2", f"{first}#3"]
    assert data.notes == ()


@pytest.mark.parametrize("form", ["lexicalised", "delexicalised", "both"])
def test_content_distinguishes_repeated_ids(form, tmp_path):
    rows = pairs(id=lambda i: "batch-1" if i else "alone")
    data = load_task("wikidata", jsonl(tmp_path / "pairs.jsonl", rows), form)
    again = load_task("wikidata", jsonl(tmp_path / "turned.jsonl", rows[::-1]), form)
    ids = data.train["id"][:]
    assert len(set(ids)) == len(ids)
    assert set(ids) == set(again.train["id"][:])
    assert data.notes[0] == "80 rows share their id with others, as 'batch-1'; their content tells them apart"
    shots = [set(few_shot(data.train, 16, seed)["premise"][:]) for seed in (0, 1)]
    assert shots[0] != shots[1]
    if form == "both":
        everything = {pair for part in data.parts.values() for pair in part["id"][:]}
        named = {pair for pair in everything if not pair.endswith("#delexicalised")}
        assert {f"{pair}#delexicalised" for pair in named} == everything - named


def test_content_distinguishes_repeated_ids_of_single_texts(tmp_path):
    task = read_task("topics", 'summary = "T."\nlabels = ["a", "b"]\ninputs = "single"', "topics.toml")
    rows = [{"id": "batch-1", "text": f"text {i % 30}", "label": "ab"[i % 2]} for i in range(60)]
    orders = [load_task(task, jsonl(tmp_path / f"{i}.jsonl", rows[::step])) for i, step in enumerate((1, -1))]
    ids = [sorted(pair for part in data.parts.values() for pair in part["id"][:]) for data in orders]
    assert ids[0] == ids[1] and len(set(ids[0])) == 60


def test_ids_that_do_not_repeat_stay_as_they_are(tmp_path):
    rows = [{**row, "id": f"p{i}"} for i, row in enumerate(pairs())]
    data = load_task("wikidata", jsonl(tmp_path / "pairs.jsonl", rows))
    assert {pair for part in data.parts.values() for pair in part["id"][:]} == {f"p{i}" for i in range(80)}
    assert data.notes[0] == SPLIT


@pytest.mark.parametrize("form", ["lexicalised", "both"])
def test_train_and_test_that_number_alike_are_not_confused_when_resplit(form, tmp_path):
    numbered = [{**row, "id": i} for i, row in enumerate(pairs(160))]
    jsonl(tmp_path / "train.jsonl", numbered[:100])
    jsonl(tmp_path / "test.jsonl", [{**row, "id": row["id"] - 100} for row in numbered[100:]])
    as_given = load_task("wikidata", str(tmp_path), form)
    assert as_given.train["id"][0] == as_given.test["id"][0] == "0"
    resplit = load_task("wikidata", str(tmp_path), form, "pair")
    ids = [pair for part in resplit.parts.values() for pair in part["id"][:]]
    assert len(ids) == len(set(ids)) == (320 if form == "both" else 160)


def test_a_run_on_a_moved_file_is_reproduced(tmp_path, tiny_encoder_folder):
    here = jsonl(tmp_path / "here" / "pairs.jsonl", pairs())
    toy = {"wikidata": here}
    config = toy_config(toy, tiny_encoder_folder, tmp_path / "out", "ncm", "wikidata_only", shots=8)
    plan = prepare(config)
    run_seeds(plan, Silent())
    seed = result_folder(plan)
    there = jsonl(tmp_path / "there" / "renamed.jsonl", pairs())
    (tmp_path / "here" / "pairs.jsonl").unlink()
    found = reproduce.repeat(seed, store.read_result(seed), Silent(), sources={"wikidata": there})
    assert (found.verdict, found.differing) == ("equal", [])
