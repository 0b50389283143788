"""One stored file that cannot be read is named in one line, and everything else is read, shown and sent."""

import hashlib
import json
import os
import re
import shutil

import pytest
from click.testing import CliRunner

from contsym.checked import Skipped
from contsym.cli import cli
from contsym.config import RunConfig
from contsym.errors import ContsymError
from contsym.results import store
from contsym.sweeps.config import SweepConfig
from contsym.sweeps.job import Job
from contsym.sweeps.plan import Cell, Sweep, write_record
from contsym.sweeps.readings import Reading, ReadingEntry
from contsym.sweeps.runs import latest_sweep, read_run, runs_folder, stored_runs, stored_sweeps
from contsym.sweeps.schema import ReadingOptions
from tests.errors import message_of
from tests.stored_results import key_for, seed_folder, store_run, store_sweep

pytestmark = pytest.mark.usefixtures("no_figures")

GOOD = "knn_fixed-mnli_then_wikidata-aaaaaaaaaaaa"
OTHER = "fine_tune-mnli_then_wikidata-bbbbbbbbbbbb"
PLUGIN = '''"""Mine."""
CARD = {"source": "me", "trains": "nothing", "stores": "nothing"}
'''


@pytest.fixture
def output(tmp_path, mlflow_template):
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    return tmp_path


def run(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


def skipped(done):
    return [line for line in done.stderr.splitlines() if line.startswith("skipped: ")]


def cut(path):
    path.write_text(path.read_text()[:-20])


def writing(content):
    return lambda path: path.write_bytes(content)


not_json, no_fields, not_a_result = map(writing, (b"{", b"{}", b"[1, 2]"))
no_text = writing(b"\xff\xfe\x00")


def newer(path):
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))


def without_cost(path):
    result = json.loads(path.read_text())
    del result["cost"]
    path.write_text(json.dumps(result))


def a_folder(path):
    path.unlink()
    path.mkdir()


def a_dangling_link(path):
    path.unlink()
    path.symlink_to("gone.json")


BREAK = (cut, not_json, no_fields, not_a_result, newer, without_cost, a_folder, a_dangling_link, no_text)


@pytest.mark.parametrize("spoil", BREAK)
def test_one_broken_result_stops_no_other(spoil, output):
    good, _ = (store_run(output, name, [0, 1]) for name in (GOOD, OTHER))
    bad = seed_folder(good, 0)
    spoil(bad / "result.json")
    found = Skipped()
    for stored in stored_runs(output, found):
        stored.results(found)
    (said,) = found.errors
    assert said.startswith(str(bad))
    line = f"skipped: {said}"
    # Of a run that was named, the other seeds; of a seed that was named, an error.
    done = run("metrics", good, "--json")
    assert (done.exit_code, json.loads(done.stdout)["seeds"]) == (0, [1])
    assert skipped(done) == [line]
    done = run("metrics", bad)
    assert isinstance(done.exception, ContsymError)
    assert str(done.exception).startswith(str(bad))
    if spoil is cut:
        for words, code in ((["report", GOOD], 0), (["sync"], 1)):
            done = run(*words, "--output", output)
            assert (done.exit_code, skipped(done)) == (code, [line]), done.exception
        assert "3 results sent" in done.stdout


def test_a_run_of_which_nothing_can_be_read_is_an_error_where_it_is_named(output):
    folder = store_run(output, GOOD, [0])
    cut(seed_folder(folder, 0) / "result.json")
    store_run(output, OTHER, [0])
    for words in (
        ["metrics", folder],
        ["report", GOOD, "--output", output],
        ["compare", GOOD, OTHER, "--output", output],
    ):
        done = run(*words)
        assert isinstance(done.exception, ContsymError), words
        assert str(done.exception).startswith(f"{seed_folder(folder, 0) / 'result.json'}: cannot be read"), (
            words
        )


def test_links_to_nothing_and_folders_that_may_not_be_read_are_named(output, monkeypatch):
    store_run(output, GOOD, [0])
    closed = runs_folder(output) / "closed"
    closed.mkdir()
    link = runs_folder(output) / "link"
    link.symlink_to(output / "gone")
    look = os.scandir

    def refuse(path="."):
        if str(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", refuse)
    done = run("sync", "--output", output)
    assert done.exit_code == 1
    assert "1 result sent" in done.stdout
    assert skipped(done) == [
        f"skipped: {closed}: cannot be read (Permission denied)",
        f"skipped: {link}: a link to {output / 'gone'}, which is not there; delete it",
    ]


def test_what_mlflow_refuses_of_one_run_stops_no_other(output, monkeypatch):
    from mlflow import MlflowClient

    for name in (GOOD, OTHER):
        store_run(output, name, [0])
    plain = MlflowClient.log_batch

    def refuse(self, run_id, *args, **kwargs):
        if self.get_run(run_id).data.tags["contsym.run"] == GOOD:
            raise ValueError("Param value 'x' had length 9000")
        return plain(self, run_id, *args, **kwargs)

    monkeypatch.setattr(MlflowClient, "log_batch", refuse)
    done = run("sync", "--output", output)
    assert done.exit_code == 1
    assert "1 result sent" in done.stdout
    (line,) = skipped(done)
    assert f"sending {GOOD} failed (Param value 'x' had length 9000)" in line


def test_a_store_that_fails_ends_it_at_the_first_run(output, monkeypatch):
    for name in (GOOD, OTHER):
        store_run(output, name, [0])
    done = run("sync", "--output", output, "--tracking-uri", "http://127.0.0.1:9")
    assert "sending " + GOOD + " failed (no answer)" in str(done.exception)
    assert skipped(done) == []


def plugin_sweep(output, file):
    """A stored sweep of the strategy in that file; no cell is done."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(PLUGIN)
    config = SweepConfig(
        (file.stem,),
        "mnli_then_wikidata",
        (8,),
        (0,),
        plugins=(str(file),),
        output=output,
        encoder="minilm",
        protocol="sequential",
    )
    key = hashlib.sha256(str(file).encode()).hexdigest()
    job = Job(key, config.cell(file.stem, 0, 8, {}))
    return write_record(Sweep(config, (Cell(job, None, 4, 0),), "2026-02-02T03:04:05+00:00"))


def test_a_sweep_is_read_without_its_plug_ins(output):
    moved = plugin_sweep(output, output / "moved" / "mine.py")
    plugin_sweep(output, output / "a" / "other.py")
    plugin_sweep(output, output / "b" / "other.py")
    (output / "moved" / "mine.py").unlink()
    made = store_sweep(output, shots=(8,), with_view=False)
    done = run("runs", "--json", "--output", output)
    assert (done.exit_code, len(json.loads(done.stdout)), done.stderr) == (0, 4, "")
    assert run("runs", "--output", output).exit_code == 0
    assert run("report", made.id, "--output", output).exit_code == 0
    done = run("sync", "--output", output)
    assert (done.exit_code, "12 results sent" in done.stdout) == (0, True)
    # Only running it again looks the plug-in up.
    with pytest.raises(ContsymError, match=r"plug-in .*mine\.py: cannot be read"):
        moved.live()


@pytest.mark.parametrize("spoil", [cut, not_json, no_fields, not_a_result, newer, a_dangling_link, no_text])
def test_one_broken_sweep_stops_no_other(spoil, output):
    made = store_sweep(
        output, strategies=("knn_fixed", "fine_tune"), shots=(8,), seeds=(0, 1), with_view=False
    )
    bad = output / "runs" / "0123456789ab"
    shutil.copytree(made.folder, bad)
    spoil(bad / "run.json")
    others = (["report"], ["compare", "knn_fixed@8", "fine_tune@8"]) if spoil is cut else ()
    for words in (["runs"], *others):
        done = run(*words, "--output", output)
        assert done.exit_code == 0, (words, done.exception)
        (line,) = skipped(done)
        assert line.startswith(f"skipped: {bad / 'run.json'}: ")
    if spoil is cut:
        done = run("sync", "--output", output)
        assert (done.exit_code, "4 results sent" in done.stdout, len(skipped(done))) == (1, True, 1)
    if spoil is not a_dangling_link:
        done = run("report", bad.name, "--output", output)
        assert str(done.exception).startswith(f"{bad / 'run.json'}: ")


def test_a_broken_cell_or_failure_of_a_sweep_is_named(output):
    made = store_sweep(output, shots=(8,), leave_out=1, with_view=False)
    bad = store.RESULT
    first, last = (output / "results" / cell.key for cell in (made.cells[0], made.cells[-1]))
    cut(first / bad)
    failure = made.folder / "failed" / f"{last.name}.json"
    failure.parent.mkdir()
    failure.write_text("[]")
    done = run("show", "latest", "--json", "--output", output)
    found = json.loads(done.stdout)
    states = [cell["state"] for cell in found["cells"]]
    assert (states[0], states[-1], states.count("done")) == ("unreadable", "missing", 10)
    assert len(skipped(done)) == 2
    done = run("report", "--output", output)
    assert done.exit_code == 0
    assert len(skipped(done)) == 2
    assert (
        "10 of 12 cells are finished, 2 are missing"
        in next((output / "reports").glob("*/*.html")).read_text()
    )


def test_a_stored_sweep_that_is_started_again_replaces_a_broken_file(output):
    made = store_sweep(output, strategies=("knn_fixed",), shots=(8,), seeds=(0,), with_view=False)
    cut(made.folder / "run.json")
    assert stored_sweeps(output, lambda error: None) == []
    again = store_sweep(output / "new", strategies=("knn_fixed",), shots=(8,), seeds=(0,), with_view=False)
    assert again.id == made.id
    with pytest.raises(ContsymError, match="none of the sweeps there can be read"):
        latest_sweep(output)


def test_a_seed_that_cannot_be_read_says_how_to_make_it_again(output, monkeypatch):
    from contsym.training.run import run_seeds

    folder = seed_folder(store_run(output, GOOD, [0]), 0)
    cut(folder / "result.json")
    monkeypatch.setattr("contsym.training.run.key_of", lambda plan, seed: key_for(GOOD, seed))

    class Plan:
        config = RunConfig("knn_fixed", "wikidata_only", output=output)

    with pytest.raises(
        ContsymError, match=re.escape(f"move {folder} away, then the same command makes it again")
    ):
        run_seeds(Plan(), None)


def test_an_entry_that_no_result_has_is_named(output):
    path = seed_folder(store_run(output, GOOD, [0]), 0) / "result.json"
    result = json.loads(path.read_text())
    result["cost"]["mine"] = "not a number"
    path.write_text(json.dumps(result))
    assert (
        message_of(store.read_result, path)
        == f"{path}: cost.mine is unknown; expected what a stored result holds"
    )


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"nope": 1}, "nope is unknown; expected what a stored run holds"),
        ({"step": "16"}, "step is '16'; expected a valid integer"),
        ({"draw": "all"}, "draw is 'all'; expected 'balanced' or 'natural'"),
    ],
)
def test_an_option_that_no_reading_has_is_named(entry, message, tmp_path):
    readings = (Reading({"draw": "natural"}),)
    config = SweepConfig(("ridge",), "mnli_then_wikidata", (64,), (0,), readings=readings, output=tmp_path)
    job = Job("0" * 64, config.cell("ridge", 0, 64, {}))
    cells = (Cell(job, None, 10, 0, reading="draw=natural"),)
    sweep = write_record(Sweep(config, cells, "2026-01-02T03:04:05+00:00"))
    path = sweep.folder / "run.json"
    record = json.loads(path.read_text())
    record["config"]["readings"][0]["options"] |= entry
    path.write_text(json.dumps(record))
    assert message_of(read_run, sweep.folder) == f"{path}: config.readings.0.options.{message}"


def test_all_options_of_a_reading_can_be_stored():
    of_group = {"main", "set", "strategies"}
    assert set(ReadingOptions.__annotations__) == set(ReadingEntry.model_fields) - of_group
