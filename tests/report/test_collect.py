"""Which results a report takes, and what it refuses, word by word."""

import io

import pytest
from rich.console import Console

from contsym.checked import tell_skipped
from contsym.commands.stored import plain_of, tables_of
from contsym.errors import ContsymError
from contsym.files import to_json, write_file
from contsym.report.collect import collect, of_run
from contsym.report.rerun import commands
from contsym.report.sentences import chosen
from contsym.results import store
from contsym.sweeps.config import SweepConfig
from contsym.sweeps.job import Job
from contsym.sweeps.plan import Cell, Sweep, write_record
from contsym.sweeps.readings import Reading
from contsym.sweeps.runs import write_failure
from tests.errors import message_of
from tests.stored_results import key_for, make_result, plain_result, seed_folder, store_run, store_sweep


def test_the_latest_sweep_is_the_default(tmp_path):
    sweep = store_sweep(tmp_path, with_view=False)
    found = collect(tmp_path, [])
    assert found.name == sweep.name
    assert len(found.results) == found.n_planned == 4 * 4 * 3
    assert found.variants == ["random_labels", "knn_fixed", "knn_learned", "fine_tune"]
    assert found.shots == [8, 16, 32, 64] and found.seeds == [0, 1, 2]
    assert [s.seed for s in found.group("knn_fixed", 16)] == [0, 1, 2]
    assert (found.new_task, found.earlier_tasks, found.target) == ("wikidata", ["mnli"], 0.99)


def test_a_sweep_is_named_by_its_name_its_id_their_first_letters_or_its_folder(tmp_path):
    sweep = store_sweep(tmp_path, strategies=["knn_fixed"], shots=[8], with_view=False)
    for name in (sweep.name, sweep.name[:9], sweep.id, sweep.id[:6], str(sweep.folder)):
        assert collect(tmp_path, [name]).name == sweep.name


def test_an_unfinished_sweep_says_what_is_missing_and_failed(tmp_path):
    sweep = store_sweep(tmp_path, leave_out=5, with_view=False)
    failed = sweep.folder / "failed"
    failed.mkdir()
    key = sweep.cells[-1].key
    write_file(failed / f"{key}.json", to_json({"name": "fine_tune", "error": "no memory"}))
    found = collect(tmp_path, [])
    assert (len(found.results), found.n_missing, len(found.failures)) == (43, 4, 1)
    # Of fine_tune, seed 2 lacks every number of shots, seed 1 lacks 64.
    assert found.complete_seeds("fine_tune") == [0]
    assert found.common_seeds(found.variants, 64) == [0]


def test_a_sweep_without_a_finished_cell_is_an_error(tmp_path):
    sweep = store_sweep(tmp_path, strategies=["knn_fixed"], shots=[8], leave_out=3)
    assert message_of(collect, tmp_path, []) == (
        f"{sweep.name}: none of its 3 cells is finished (0 failed); contsym sweep --resume resumes it"
    )


def test_runs_are_named_by_folder_and_put_together(tmp_path):
    store_run(tmp_path, "a", [0, 1])
    store_run(tmp_path, "b", [0, 1], strategy="fine_tune")
    found = collect(tmp_path, ["a", "b"])
    assert found.variants == ["knn_fixed", "fine_tune"] and found.shots == [64] and found.sweep is None
    assert found.name.startswith("results-")
    assert collect(tmp_path, ["b", "a"]).name == found.name
    assert collect(tmp_path, ["a"]).name == "a"
    one = collect(tmp_path, [str(seed_folder(tmp_path / "runs" / "a", 1))])
    assert one.name.startswith("results-") and one.seeds == [1]


def test_without_a_sweep_the_runs_are_named(tmp_path):
    store_run(tmp_path, "a", [0])
    assert message_of(collect, tmp_path, []) == (
        f"--output {tmp_path}: no sweep there; name the runs to report on, as contsym report a"
    )


def test_an_unknown_name_says_what_there_is(tmp_path):
    store_run(tmp_path, "a", [0])
    assert message_of(collect, tmp_path, ["zzz"]) == (
        f"'zzz' is not there; expected latest, a run or sweep of {tmp_path}, or the folder of one; among them are a"
    )
    assert message_of(collect, tmp_path, ["knn_fixed@32"]) == (
        "'knn_fixed@32' is a row of a sweep; expected a whole run or sweep, as latest (contsym runs lists them)"
    )


def test_letters_that_begin_two_names_are_refused(tmp_path):
    store_run(tmp_path, "run-aa", [0])
    store_run(tmp_path, "run-ab", [0])
    with pytest.raises(
        ContsymError, match=r"^'run-a' begins more than one name: run-a\w, run-a\w; give more of it$"
    ):
        collect(tmp_path, ["run-a"])


def test_results_on_other_data_do_not_stand_side_by_side(tmp_path):
    store_run(tmp_path, "a", [0])
    other = plain_result()["sources"]
    other = {**other, "wikidata": {**other["wikidata"], "fingerprint": "c3" * 32}}
    store_run(tmp_path, "b", [0], strategy="fine_tune", sources=other)
    assert message_of(collect, tmp_path, ["a", "b"]) == (
        f"fine_tune with 64 shots, seed 0 ({key_for('b', 0)[:12]}) and knn_fixed with 64 shots, seed 0 "
        f"({key_for('a', 0)[:12]}) differ in data (mnli a1a1a1a1a1a1, wikidata c3c3c3c3c3c3; mnli a1a1a1a1a1a1, "
        "wikidata b2b2b2b2b2b2); a report needs the same: report on them one by one"
    )


NOISY = [{"task": "wikidata", "label_noise": 0.2}]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"one_pass": True}, "one pass"),
        ({"until": 0.9}, "until"),
        ({"draw": "natural"}, "draw of the shots"),
        ({"label_noise": 0.4}, "label noise"),
    ],
)
def test_pairs_that_are_counted_in_another_way_do_not_stand_side_by_side(tmp_path, change, words):
    store_run(tmp_path, "a", [0], experiences=NOISY)
    options = {**plain_result()["options"], **change}
    store_run(tmp_path, "b", [0], strategy="fine_tune", experiences=NOISY, options=options)
    with pytest.raises(ContsymError, match=f"differ in {words} "):
        collect(tmp_path, ["a", "b"])


def searched(target, step=16):
    """Changes of a result: the least shots for a target."""
    tried = [{"n": step, "accuracy": 1.0}]
    search = {"tried": tried, "found": step, "target": target, "step": step, "most": 64}
    options = {**plain_result()["options"], "shots": "least", "target": target, "step": step}
    return {"search": search, "options": options}


@pytest.mark.parametrize(("other", "words"), [((0.95, 16), "target"), ((0.8, 32), "step")])
def test_searches_for_different_things_do_not_stand_side_by_side(tmp_path, other, words):
    store_run(tmp_path, "a", [0], **searched(0.8))
    store_run(tmp_path, "b", [0], strategy="fine_tune", **searched(*other))
    with pytest.raises(ContsymError, match=f"differ in {words} of the search "):
        collect(tmp_path, ["a", "b"])


def test_a_search_decides_the_target_of_results_that_answer_for_any(tmp_path):
    store_run(tmp_path, "a", [0], **searched(0.8))
    # Trained without an end, and reported for 0.9.
    store_run(tmp_path, "b", [0], strategy="fine_tune")
    assert collect(tmp_path, ["a", "b"]).target == 0.8


def test_how_shots_are_drawn_does_not_matter_where_none_are(tmp_path):
    options = plain_result()["options"]
    store_run(tmp_path, "some", [0], options={**options, "shots": 16, "draw": "natural"})
    store_run(tmp_path, "all", [0], options={**options, "shots": None})
    assert len(collect(tmp_path, ["some", "all"]).results) == 2


def test_what_is_missing_of_any_reading_is_missing(tmp_path):
    readings = (Reading({"one_pass": True}), Reading({"one_pass": True, "draw": "natural"}))
    config = SweepConfig(
        ("knn_fixed",), "mnli_then_wikidata", (64,), seeds=(0, 1), readings=readings, output=tmp_path,
        protocol="retrain", encoder="minilm",
    )  # fmt: skip
    cells = [
        Cell(Job(f"{i}{seed}{0:062x}", part.cell("knn_fixed", seed, 64, {})), None, 10, 0, reading.name)
        for i, (reading, part) in enumerate(config.parts())
        for seed in part.seeds
    ]
    sweep = write_record(Sweep(config, tuple(cells), "2026-01-02T03:04:05+00:00"))
    for cell in cells[:2]:
        result = make_result(cell.job.config.seeds[0], key=cell.job.key)
        store.write_result(tmp_path, result, [{"task": "mnli"}], {})
    write_failure(sweep.folder, cells[2].job.key, "knn_fixed", "no memory")
    found = of_run(sweep)
    assert (len(found.results), found.n_done, found.n_missing, len(found.failures)) == (2, 2, 1, 1)
    # The command is that of the whole sweep, whose readings stand in a file.
    assert "--config FILE-WITH-ITS-READINGS.toml" in commands(found)[0]


def test_one_checkpoint_by_two_paths_is_one_encoder(tmp_path):
    """Cells of a sweep may have been stored by a run that named the encoder in another way."""
    options = plain_result()["options"]
    store_run(tmp_path, "a", [0], encoder="here/bert", options={**options, "pretrain": {"epochs": "2"}})
    store_run(
        tmp_path, "b", [0], strategy="fine_tune", encoder="/there/bert", options={**options, "pretrain": {}}
    )
    assert collect(tmp_path, ["a", "b"]).variants == ["knn_fixed", "fine_tune"]
    weights = {**plain_result()["encoder_weights"], "text_files_sha256": "0" * 64}
    store_run(tmp_path, "c", [0], strategy="ncm", encoder_weights=weights)
    with pytest.raises(ContsymError, match="differ in encoder's tokenizer or configuration"):
        collect(tmp_path, ["a", "c"])


def test_the_same_cell_twice_is_refused(tmp_path):
    store_run(tmp_path, "a", [0])
    store_run(tmp_path, "b", [0])
    assert message_of(collect, tmp_path, ["a", "b"]) == (
        f"knn_fixed with 64 shots, seed 0 ({key_for('b', 0)[:12]}) and knn_fixed with 64 shots, seed 0 "
        f"({key_for('a', 0)[:12]}) are both knn_fixed, 64 shots, seed 0; leave one of them out"
    )


def test_a_run_without_shots_has_as_many_as_it_trained_on():
    options = {**plain_result()["options"], "shots": None}
    assert make_result(options=options).n_shots == 64


def test_only_values_that_differ_are_part_of_a_name(tmp_path):
    store_run(tmp_path, "a", [0], settings={"k": 1, "epochs": 2})
    store_run(tmp_path, "b", [0], settings={"k": 3, "epochs": 2})
    store_run(tmp_path, "c", [0], strategy="fine_tune", settings={"epochs": 2})
    found = collect(tmp_path, ["a", "b", "c"])
    assert found.variants == ["knn_fixed k=1", "knn_fixed k=3", "fine_tune"]
    assert found.strategy_of("knn_fixed k=3") == "knn_fixed"
    assert [s.settings["k"] for s in found.group("knn_fixed k=3", 64)] == [3]


def test_of_a_sweep_that_selects_only_the_chosen_setting_is_shown_and_nothing_is_missing(tmp_path):
    config = SweepConfig(
        ("knn_fixed",),
        "mnli_then_wikidata",
        (64,),
        seeds=(0, 1),
        settings={"k": ("1", "3")},
        select="validation",
        encoder="minilm",
        protocol="sequential",
        output=tmp_path,
    )
    base, cells = make_result(), []
    # Better on validation pairs, and worse on test pairs.
    for k, validation, final in (("1", 0.9, 0.8), ("3", 0.7, 0.99)):
        for seed in config.seeds:
            job = Job(f"{k}{seed}{0:062x}", config.cell("knn_fixed", seed, 64, {"k": k}))
            cells.append(Cell(job, None, 10, 0))
            result = make_result(
                seed,
                key=job.key,
                settings={**base.settings, "k": int(k)},
                set={"k": k},
                validation={"mnli": validation, "wikidata": validation},
                final={"mnli": 0.6, "wikidata": final},
            )
            store.write_result(tmp_path, result, [{"task": "mnli"}], {})
    sweep = write_record(Sweep(config, tuple(cells), "2026-01-02T03:04:05+00:00"))
    collected = of_run(sweep)
    assert {r.settings["k"] for r in collected.results} == {1}
    assert (len(collected.results), collected.n_missing) == (2, 0)
    words = "knn_fixed k=1 (validation 0.900; 2 settings tried)"
    assert chosen(collected) == f"Settings chosen by validation pairs, others left out: {words}."
    (selected,) = plain_of(sweep, tell_skipped)["selected"]
    assert (selected["variant"], selected["settings_tried"], len(selected["keys"])) == ("knn_fixed k=1", 2, 2)
    shown = io.StringIO()
    Console(file=shown, width=100).print(tables_of(sweep, sweep.results(), tell_skipped))
    assert words in shown.getvalue()
    assert "0.800" in shown.getvalue() and "0.990" not in shown.getvalue()


def test_the_target_is_what_a_search_or_a_pass_ended_at(tmp_path):
    options = make_result().options.model_dump()
    for until, target in ((0.5, 0.5), (1.0, 0.9)):
        run = store_run(tmp_path, f"run-{until:g}", [0], options={**options, "until": until})
        assert collect(tmp_path, [run.name]).target == target
