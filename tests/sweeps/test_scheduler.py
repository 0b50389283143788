"""A sweep runs each job once, in the right order, and survives failures."""

import json
from dataclasses import replace

import pytest

from contsym.errors import ContsymError, SettingError
from contsym.files import visible_folders
from contsym.results import store
from contsym.sweeps.engines.base import Lost
from contsym.sweeps.find import find
from contsym.sweeps.job import is_done, run_job
from contsym.sweeps.plan import claimed, plan_sweep, seconds_left, write_record
from contsym.sweeps.runs import latest_sweep, stored_runs, stored_sweeps
from contsym.sweeps.scheduler import MAX_TRIES, run_sweep
from contsym.training.first_task import FirstTaskCache, first_tasks_folder
from contsym.training.keys import key_of
from contsym.training.plan import prepare
from contsym.training.progress import Silent as SilentProgress
from contsym.training.run import run_seed
from tests.stored_results import store_predictions
from tests.sweeps.here import Here
from tests.sweeps.toy_sweep import cells, comparable, toy_config, write_tasks


def pretend(job):
    """Leave the output of a job without training: order and faults do not depend on results."""
    if job.is_first_task:
        (first_tasks_folder(job.config.output) / job.key).mkdir(parents=True)
    else:
        rows = [{"task": "mnli", "id": "mnli:0", "label": "entailment"}]
        store_predictions(job.config.output, rows, key=job.key)


class Silent:
    def __init__(self):
        self.errors = []

    def started(self, job):
        pass

    def ended(self, job, error):
        if error:
            self.errors.append((job.name, error))

    def tick(self):
        pass


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return write_tasks(tmp_path_factory.mktemp("tasks"))


@pytest.fixture
def sweep(sources, tiny_encoder_folder, tmp_path):
    planned, _ = plan_sweep(toy_config(sources, tiny_encoder_folder, tmp_path))
    write_record(planned)
    return planned


def test_cells_are_the_runs_that_they_would_be_alone(sources, tiny_encoder_folder, tmp_path):
    sweep, _ = plan_sweep(toy_config(sources, tiny_encoder_folder, tmp_path, seeds=(1,)))
    write_record(sweep)
    executor, seen = Here(), []
    assert run_sweep(sweep, executor, Silent(), lambda: seen.append(sweep.n_done)) == {}
    assert executor.is_closed
    assert seen == list(range(1, 5))
    # Two first tasks for four cells, each before its cells; nothing of them is left.
    first_tasks = [i for i, job in enumerate(executor.done) if job.is_first_task]
    assert first_tasks == [0, 3]
    assert len(executor.done) == 6
    assert visible_folders(first_tasks_folder(tmp_path)) == []
    assert not (tmp_path / "encodings").exists()
    for cell in sweep.cells:
        plan = prepare(replace(cell.job.config, output=tmp_path / "alone"))
        (seed,) = cell.job.config.seeds
        assert key_of(plan, seed) == cell.job.key
        alone, rows, tensors = run_seed(plan, seed, SilentProgress())
        folder = store.write_result(tmp_path / "alone", alone, rows, tensors)
        shared = store.result_folder(tmp_path, cell.job.key)
        assert comparable(shared) == comparable(folder)
        for name in ("predictions.csv", "label_vectors.safetensors"):
            assert (shared / name).read_bytes() == (folder / name).read_bytes()


def test_what_is_done_is_not_done_again_and_what_is_new_is(sweep, sources, tiny_encoder_folder, tmp_path):
    run_sweep(sweep, Here(pretend), Silent())
    again = Here(pretend)
    run_sweep(sweep, again, Silent())
    assert again.done == []
    wider = toy_config(sources, tiny_encoder_folder, tmp_path, shots=(8, 16, 24))
    made = plan_sweep(wider)[0]
    assert (made.n_done, len(made.cells)) == (8, 12)
    more = Here(pretend)
    run_sweep(made, more, Silent())
    assert sorted(job.config.shots for job in more.done if not job.is_first_task) == [24] * 4
    # Other settings or other data are other cells.
    changed = plan_sweep(toy_config(sources, tiny_encoder_folder, tmp_path, settings={"steps": ("5",)}))[0]
    assert changed.n_done == 0


def test_a_failed_cell_is_recorded_and_stops_no_other(sweep, tmp_path):
    name = "knn_fixed, steps=4, 16 shots, seed 1"
    failed = run_sweep(sweep, Here(pretend, faults={name: [ValueError("too\nbad")]}), Silent())
    assert failed == {name: "ValueError: too bad"}
    assert sweep.n_done == 7
    (failure,) = latest_sweep(tmp_path).failures().values()
    assert (failure["name"], failure["error"]) == (name, "ValueError: too bad")
    # The next start tries it again and deletes the failure.
    assert run_sweep(sweep, Here(pretend), Silent()) == {}
    assert (sweep.n_done, latest_sweep(tmp_path).failures()) == (8, {})


def test_a_failed_first_task_fails_its_cells_only(sweep):
    watcher = Silent()
    faults = {"fine_tune, steps=4, first task, seed 0": [ContsymError("no memory")]}
    failed = run_sweep(sweep, Here(pretend, faults=faults), watcher)
    expected = {f"fine_tune, steps=4, {n} shots, seed 0" for n in (8, 16)}
    assert failed == dict.fromkeys(expected, "its first task failed: no memory")
    assert sweep.n_done == 6


def test_a_lost_worker_is_tried_again_but_not_for_ever(sweep):
    watcher = Silent()
    cell, first_tasks = "fine_tune, steps=4, 8 shots, seed 0", "knn_fixed, steps=4, first task, seed 1"
    executor = Here(pretend, n_slots=2, faults={cell: [Lost("killed")], first_tasks: [Lost("killed")]})
    assert run_sweep(sweep, executor, watcher) == {}
    assert sweep.n_done == 8
    assert sorted(watcher.errors) == [(cell, "killed; tried again"), (first_tasks, "killed; tried again")]
    # Under another output nothing is done yet.
    other = replace(sweep.config, output=sweep.config.output / "other")
    lost = plan_sweep(other)[0]
    failed = run_sweep(lost, Here(pretend, faults={cell: [Lost("killed")] * MAX_TRIES}), Silent())
    assert failed == {cell: "killed"}


class Full(Here):
    """A queue that takes one job at a time and refuses others, whatever its slots."""

    n_taken = 0

    def submit(self, job):
        if self.n_taken:
            raise ContsymError("the queue is full")
        self.n_taken = 1
        return super().submit(job)

    def wait(self, handles, seconds):
        self.n_taken = 0
        return super().wait(handles, seconds)


def test_a_refused_job_waits_for_those_that_run(sweep):
    executor = Full(pretend, n_slots=3)
    assert run_sweep(sweep, executor, Silent()) == {}
    assert (sweep.n_done, len(executor.done)) == (8, 12)


def test_a_sweep_ends_where_the_first_job_is_refused(sweep):
    executor = Full(pretend)
    executor.n_taken = 1
    with pytest.raises(ContsymError, match=r"^the queue is full$"):
        run_sweep(sweep, executor, Silent())
    assert executor.is_closed


def test_processes_that_share_the_cores_are_not_expected_to_be_faster(sweep, monkeypatch):
    monkeypatch.setattr("contsym.sweeps.engines.base.n_cores", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS")
    # As if a text took half of the time with twice the threads.
    monkeypatch.setattr("contsym.training.workload.seconds_per_text", lambda plan, n_threads: 1 / n_threads)
    assert seconds_left(sweep, n_jobs=1) == seconds_left(sweep, n_jobs=2) == seconds_left(sweep, n_jobs=4) > 0


def test_two_slots_never_run_a_job_twice(sweep):
    executor = Here(pretend, n_slots=2)
    run_sweep(sweep, executor, Silent())
    assert len({job.key for job in executor.done}) == len(executor.done) == 12


def test_an_untrained_encoding_is_made_once_for_all(sweep, tmp_path, monkeypatch):
    from contsym.models.encoders.pooled import PooledEncoder

    made = []
    original = PooledEncoder._encode
    # The texts that a loaded encoder is tried with do not count.
    monkeypatch.setattr(PooledEncoder, "probe", lambda self, folder: None)
    monkeypatch.setattr(
        PooledEncoder, "_encode", lambda self, texts: made.append(tuple(texts)) or original(self, texts)
    )
    first_tasks = [cell.first_task for cell in sweep.cells if cell.job.config.strategy == "fine_tune"]
    run_job(first_tasks[0])
    before = len(made)
    assert first_tasks[-1].key != first_tasks[0].key
    run_job(first_tasks[-1])
    # The second seed encodes only with what it has trained, after the first task: both tests together, and
    # the training pairs of the probe.
    assert len(made) - before == 2
    cache = FirstTaskCache(first_tasks_folder(tmp_path))
    assert cache.has(first_tasks[0].key)
    assert cache.has(first_tasks[-1].key)


def test_other_data_than_planned_is_refused_by_the_worker(sweep):
    job = replace(sweep.cells[0].job, key="0" * 64)
    with pytest.raises(
        ContsymError,
        match=r"^this worker has other data, another contsym, other libraries, or another kind of device",
    ):
        run_job(job)
    assert not is_done(job)


def test_the_latest_sweep_is_the_one_that_was_started_last(sweep, tmp_path):
    for command, created in (("sweep", "2100-01-01"), ("run", "2100-01-02"), ("sweep", "2100-01-03")):
        write_record(replace(sweep, created=f"{created}T00:00:00+00:00", command=command))
    times = [(run.command, run.created[:10], run.last_started[:10]) for run in stored_runs(tmp_path)]
    made = sweep.created[:10]  # by the fixture
    assert times == [("sweep", made, "2100-01-03"), ("run", "2100-01-02", "2100-01-02")]


def test_sweeps_are_stored_and_found(sweep, tmp_path):
    (stored,) = stored_sweeps(tmp_path)
    assert stored.live() == sweep.config
    assert (stored.id, stored.created) == (sweep.id, sweep.created)
    assert [(cell.key, cell.first_task) for cell in stored.cells] == [
        (cell.job.key, cell.first_task.key) for cell in sweep.cells
    ]
    assert latest_sweep(tmp_path) == find(stored.id[:4], tmp_path) == find(stored.name, tmp_path) == stored
    assert find("zz", tmp_path) is None
    with pytest.raises(ContsymError, match="no sweep there yet"):
        latest_sweep(tmp_path / "none")
    path = sweep.folder / "run.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ContsymError, match="none of the sweeps there can be read"):
        latest_sweep(tmp_path)
    # The same command makes it anew.
    assert write_record(sweep) == stored


def test_a_sweep_is_held_by_one_process(sweep):
    with claimed(sweep), pytest.raises(ContsymError, match="is being run by another process"):  # noqa: SIM117
        with claimed(sweep):
            pass


def test_a_row_is_found_by_the_value_that_a_report_shows(sources, tiny_encoder_folder, tmp_path):
    settings = {"steps": ("4",), "learning_rate": ("1e-4", "3E-3")}
    config = toy_config(sources, tiny_encoder_folder, tmp_path, strategies=("fine_tune",), settings=settings)
    rates = [cell.job.config.settings["learning_rate"] for cell in plan_sweep(config)[0].cells]
    assert set(rates) == {"0.0001", "0.003"}


def test_two_spellings_of_one_value_are_refused(sources, tiny_encoder_folder, tmp_path):
    twice = toy_config(
        sources,
        tiny_encoder_folder,
        tmp_path,
        strategies=("knn_fixed",),
        settings={"steps": ("4",), "k": ("5", "05")},
    )
    with pytest.raises(SettingError) as caught:
        plan_sweep(twice)
    assert str(caught.value) == (
        "--set steps=4,k=5 and steps=4,k=05 come to the same; expected values that differ"
    )


def test_values_that_another_setting_overrides_are_refused(sources, tiny_encoder_folder, tmp_path):
    """Beside `steps`, the rows of two `epochs` would be one result."""
    settings = {"steps": ("4",), "epochs": ("1", "2")}
    same = toy_config(sources, tiny_encoder_folder, tmp_path, strategies=("fine_tune",), settings=settings)
    with pytest.raises(SettingError, match=r"^--set steps=4,epochs=1 and steps=4,epochs=2 come to the same"):
        plan_sweep(same)


@pytest.mark.parametrize("shots", [("least",), (8, None)])
def test_shots_of_a_scenario_without_any_are_refused_before_a_cell_runs(
    shots, sources, tiny_encoder_folder, tmp_path
):
    nli = {"mnli": sources["mnli"]}
    config = toy_config(nli, tiny_encoder_folder, tmp_path, scenario="mnli_only", shots=shots)
    with pytest.raises(SettingError, match=r"^--shots: scenario mnli_only has no task with shots"):
        plan_sweep(config)


def test_a_setting_that_no_strategy_has_is_refused(sources, tiny_encoder_folder, tmp_path):
    wrong = toy_config(sources, tiny_encoder_folder, tmp_path, settings={"stepz": ("4",)})
    with pytest.raises(
        SettingError, match=r"^--set stepz: no strategy of the sweep has it; did you mean steps"
    ):
        plan_sweep(wrong)


def test_a_half_written_cell_is_no_cell(sweep, tmp_path):
    run_job(sweep.cells[0].first_task)
    folder = store.result_folder(tmp_path, sweep.cells[0].job.key)
    partial = folder.with_name(f".partial-{folder.name}-0")
    partial.mkdir(parents=True)
    (partial / "result.json").write_text(json.dumps({"format": 1}))
    assert not is_done(sweep.cells[0].job)
    run_job(sweep.cells[0].job)
    assert list(cells(tmp_path)) == [folder.name]
