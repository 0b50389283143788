"""A job on another machine: its errors when that machine sees other files."""

import os
import threading
import time

import pytest

from contsym.config import RunConfig
from contsym.results.store import result_folder
from contsym.sweeps.engines import remote
from contsym.sweeps.engines.remote import not_arrived, run_job_there
from contsym.sweeps.job import Job


@pytest.fixture(autouse=True)
def stay(monkeypatch, tmp_path):
    # Brings the working directory back behind the test, which run_job_there changes.
    monkeypatch.chdir(tmp_path)


def work(output, key="key") -> Job:
    return Job(key, RunConfig("knn_fixed", "wikidata_only", encoder="./none", output=output))


def test_a_node_without_the_folder_of_the_sweep_says_so(tmp_path):
    message = run_job_there(work(tmp_path), str(tmp_path / "not here"))
    assert f"cannot enter {tmp_path / 'not here'}, where the sweep was started (No such file" in message
    assert message.endswith("expected a file system that all nodes share")


def test_relative_paths_are_those_of_the_folder(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    seen = []
    monkeypatch.setattr(remote, "run_job", lambda job: seen.append(os.getcwd()))
    assert run_job_there(work(tmp_path), str(tmp_path / "there")) is None
    assert seen == [str(tmp_path / "there")]


def test_what_goes_wrong_comes_back_as_a_line_with_the_node(tmp_path, monkeypatch):
    monkeypatch.setattr(remote.platform, "node", lambda: "node7")

    def fail(job):
        raise MemoryError("no room\nat all")

    monkeypatch.setattr(remote, "run_job", fail)
    assert run_job_there(work(tmp_path), str(tmp_path)) == "MemoryError: no room at all (on node7)"


def test_a_result_that_shows_late_counts(tmp_path):
    job = work(tmp_path / "out")
    folder = result_folder(tmp_path / "out", "key")

    def arrive():
        time.sleep(0.3)
        folder.mkdir(parents=True)
        (folder / "result.json").write_text("{}")

    thread = threading.Thread(target=arrive)
    thread.start()
    assert not_arrived(job, 10) is None
    thread.join()


def test_a_result_on_another_disk_is_an_error(tmp_path):
    error = not_arrived(work(tmp_path / "out"), 0.0)
    assert str(error) == (
        f"a worker finished it, but nothing of it is in {tmp_path / 'out'}; "
        "expected a file system that all nodes share"
    )
