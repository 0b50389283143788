"""Checked data are cached and read back unchanged; damaged entries are never used."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import fields

import pytest

from contsym.data import cache, sources
from contsym.errors import DataError, SettingError
from contsym.tasks.catalog import find_task
from tests.toy import nli_rows, relation_rows, write_task


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.FOLDER, str(tmp_path / "cache"))
    monkeypatch.setenv(cache.LIMIT, "1")
    monkeypatch.setattr(cache, "SMALL", 1)
    return tmp_path / "cache" / "data"


@pytest.fixture
def parsed(monkeypatch):
    """The sources parsed so far, in order."""
    found, usual = [], sources.load_task

    def load_task(task, spec, form, split):
        found.append((task, form, split))
        return usual(task, spec, form, split)

    monkeypatch.setattr(sources, "load_task", load_task)
    return found


def relations(tmp_path):
    return str(write_task(tmp_path / "wikidata", relation_rows(), 64))


def content(task):
    others = {f.name: getattr(task, f.name) for f in fields(task) if f.name not in cache.PARTS}
    return others, *(part.with_format(None)[:] for part in (task.train, task.test))


def entry_of(folder):
    (entry,) = folder.iterdir()
    return entry


def test_what_runs_write_below_the_data_changes_nothing(parsed, tmp_path, monkeypatch):
    spec = write_task(tmp_path / "mnli", nli_rows(), 30)
    monkeypatch.setenv(cache.FOLDER, str(spec / "cache"))
    monkeypatch.setenv(cache.LIMIT, "1")
    monkeypatch.setattr(cache, "SMALL", 1)
    for n in range(2):
        cache.load_task("mnli", str(spec))
        (spec / "mlruns").mkdir(exist_ok=True)
        (spec / "mlruns" / f"{n}.json").write_text("{}")
    assert len(parsed) == 1


def test_cached_pairs_are_few_batches_however_they_were_selected(folder, tmp_path):
    import pyarrow as pa

    task = cache.load_task("mnli", str(write_task(tmp_path / "mnli", nli_rows(), 30)))
    assert len(task.train) > 1
    with pa.memory_map(str(entry_of(folder) / "train.arrow")) as file:
        assert len(list(pa.ipc.open_stream(file))) == 1


@pytest.mark.parametrize("asked", [("lexicalised", None), ("both", None), ("delexicalised", "pair")])
def test_the_second_load_is_equal_and_parses_nothing(folder, parsed, tmp_path, asked):
    spec = relations(tmp_path)
    first, second = (cache.load_task("wikidata", spec, *asked) for _ in range(2))
    assert [(task.name, *others) for task, *others in parsed] == [("wikidata", *asked)]
    assert content(first) == content(second) == content(sources.load_task("wikidata", spec, *asked))
    assert type(second.notes) is tuple
    assert second.train.features == first.train.features


def test_what_is_asked_for_decides(folder, parsed, tmp_path):
    spec = relations(tmp_path)
    for asked in (("lexicalised", None), ("both", None), ("lexicalised", "pair"), ("lexicalised", "entity")):
        cache.load_task("wikidata", spec, *asked)
    assert len(parsed) == len(list(folder.iterdir())) == 4


def edit(spec):
    path = spec / "train.jsonl"
    path.write_text(path.read_text().replace("anna", "ella", 1))  # as many bytes


def edit_and_set_the_time_back(spec):
    before = os.stat(spec / "train.jsonl")
    edit(spec)
    os.utime(spec / "train.jsonl", ns=(before.st_atime_ns, before.st_mtime_ns))


def add_a_part_that_comes_first(spec):
    shutil.copy(spec / "train.jsonl", spec / "dev_matched.jsonl")


def add_a_card_beside_it(spec):
    (spec / "README.md").write_text("---\n---\n")


def add_a_card_above_it(spec):
    (spec.parent / "README.md").write_text("---\n---\n")


@pytest.mark.parametrize(
    "change",
    [
        edit,
        edit_and_set_the_time_back,
        add_a_part_that_comes_first,
        add_a_card_beside_it,
        add_a_card_above_it,
    ],
)
def test_changed_files_are_parsed_again(folder, parsed, tmp_path, change):
    spec = write_task(tmp_path / "mnli", nli_rows(), 30)
    cache.load_task("mnli", str(spec))
    change(spec)
    found = cache.load_task("mnli", str(spec))
    assert len(parsed) == 2
    assert content(found) == content(sources.load_task("mnli", str(spec), "lexicalised", None))


def test_other_code_parses_again(folder, parsed, tmp_path, monkeypatch):
    spec = relations(tmp_path)
    cache.load_task("wikidata", spec)
    monkeypatch.setattr(cache, "_code_sha256", lambda: "other")
    cache.load_task("wikidata", spec)
    assert len(parsed) == 2


def cut(entry):
    path = entry / "train.arrow"
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_letter(entry):
    path = entry / "train.arrow"
    path.write_bytes(path.read_bytes().replace(b"anna", b"ella", 1))


def exchange_the_parts(entry):
    (entry / "train.arrow").rename(entry / "x")
    (entry / "test.arrow").rename(entry / "train.arrow")
    (entry / "x").rename(entry / "test.arrow")


def lose_a_part(entry):
    (entry / "test.arrow").unlink()


def lose_the_facts(entry):
    (entry / cache.FACTS).unlink()


def say_otherwise(entry):
    facts = json.loads((entry / cache.FACTS).read_text())
    facts["task"]["source"] = "elsewhere"
    (entry / cache.FACTS).write_text(json.dumps(facts))


def be_no_json(entry):
    (entry / cache.FACTS).write_text("[")


def be_a_list(entry):
    (entry / cache.FACTS).write_text("[]")


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        flip_a_letter,
        exchange_the_parts,
        lose_a_part,
        lose_the_facts,
        say_otherwise,
        be_no_json,
        be_a_list,
    ],
)
def test_a_damaged_entry_is_made_again(folder, parsed, tmp_path, damage):
    spec = relations(tmp_path)
    before = content(cache.load_task("wikidata", spec))
    damage(entry_of(folder))
    assert content(cache.load_task("wikidata", spec)) == before
    assert len(parsed) == 2
    cache.load_task("wikidata", spec)
    assert len(parsed) == 2


def test_another_entry_under_the_name_is_not_taken(folder, parsed, tmp_path):
    spec = relations(tmp_path)
    cache.load_task("wikidata", spec, "delexicalised")
    foreign = entry_of(folder)
    expected = content(cache.load_task("wikidata", spec, "lexicalised"))
    own = next(entry for entry in folder.iterdir() if entry != foreign)
    shutil.rmtree(own)
    shutil.copytree(foreign, own)
    assert content(cache.load_task("wikidata", spec, "lexicalised")) == expected
    assert len(parsed) == 3


def test_a_file_that_changes_while_it_is_read_is_not_cached(folder, tmp_path, monkeypatch):
    spec = write_task(tmp_path / "mnli", nli_rows(), 30)
    usual = sources.load_task

    def load_task(*asked):
        found = usual(*asked)
        edit(spec)
        return found

    monkeypatch.setattr(sources, "load_task", load_task)
    cache.load_task("mnli", str(spec))
    assert not folder.exists()


def test_errors_are_raised_each_time_and_never_cached(folder, tmp_path):
    spec = write_task(tmp_path / "mnli", [*nli_rows(), {"premise": "p", "label": "neutral"}], 30)
    for _ in range(2):
        with pytest.raises(DataError, match=r"train.jsonl:61: column 'hypothesis' is missing"):
            cache.load_task("mnli", str(spec))
    assert not folder.exists()


def test_small_and_bundled_data_are_not_cached(folder, parsed, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "SMALL", 1 << 20)
    cache.load_task("mnli", "bundled")
    cache.load_task("wikidata", relations(tmp_path))
    assert not folder.exists()


def test_the_bound_and_a_folder_that_cannot_be_written(folder, parsed, tmp_path, monkeypatch):
    spec = relations(tmp_path)
    monkeypatch.setenv(cache.LIMIT, "0.00000001")
    cache.load_task("wikidata", spec)
    assert not folder.exists()
    monkeypatch.setenv(cache.LIMIT, "1")
    folder.parent.mkdir()
    folder.write_text("no folder")
    assert cache.load_task("wikidata", spec).rows == {"train": 200, "validation": 18, "test": 64}
    monkeypatch.setenv(cache.LIMIT, "much")
    with pytest.raises(SettingError) as raised:
        cache.load_task("wikidata", spec)
    assert str(raised.value) == (
        "CONTSYM_DATA_GIB=much is not a size; expected GiB for checked data, as 4 or 0.5, or 0 to keep none"
    )


def test_large_sources_are_parsed_ahead_by_another_process(folder, parsed, tmp_path):
    rows = [{**row, "premise": row["premise"] + " and" * 300} for row in nli_rows(900)]
    spec = str(write_task(tmp_path / "mnli", rows, 30))
    assert sum(path.stat().st_size for path in (tmp_path / "mnli").iterdir()) > 1 << 20
    asked = (find_task("mnli"), spec, "lexicalised", None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "LARGE", 1 << 20)
        with cache.parsed_ahead([asked, asked]):
            assert not folder.exists()
    assert cache.load_task(*asked).rows == {"train": 870, "validation": 18, "test": 30}
    assert parsed == []


def test_an_error_while_parsing_ahead_is_raised_by_load_task(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "LARGE", 1)
    spec = write_task(tmp_path / "mnli", [*nli_rows(), {"premise": "p", "label": "neutral"}], 30)
    with cache.parsed_ahead([(find_task("mnli"), str(spec), "lexicalised", None)]):
        pass
    with pytest.raises(DataError, match=r"train.jsonl:61: column 'hypothesis' is missing"):
        cache.load_task("mnli", str(spec))


def test_a_value_of_many_pairs_is_cached(folder, tmp_path, monkeypatch):
    task, values = (
        sources.load_task("wikidata", relations(tmp_path)),
        iter([{"a": 0.1}, {"a": 0.2}, {"a": 0.3}]),
    )

    def ask(*what):
        return cache.cached_value(task, ["x", *what], lambda: next(values))

    assert ask() == {"a": 0.1}  # nothing is cached for few pairs
    assert not folder.exists()
    monkeypatch.setattr(cache, "MANY", 264)
    assert [ask(), ask()] == [{"a": 0.2}, {"a": 0.2}]
    (entry_of(folder) / cache.FACTS).write_text("{}")
    assert [ask(), ask()] == [{"a": 0.3}, {"a": 0.3}]
    with pytest.raises(StopIteration):
        ask("another option")


LOAD = """
import sys
from contsym.data import cache
cache.SMALL = 1
print(cache.load_task("wikidata", sys.argv[1]).fingerprint)
"""


def test_two_processes_at_once(folder, parsed, tmp_path):
    spec = relations(tmp_path)
    command = [sys.executable, "-c", LOAD, spec]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    fingerprints = {process.communicate()[0].strip() for process in running}
    assert fingerprints == {cache.load_task("wikidata", spec).fingerprint}
    assert parsed == []
    assert [process.returncode for process in running] == [0, 0]
    assert [path.name.startswith(".") for path in folder.iterdir()] == [False]
