"""`contsym diff` as it is typed."""

import json

import pytest

from contsym.commands.diff import _checkpoint
from contsym.differences import run
from contsym.differences.schema import Diff
from contsym.sweeps.runs import stored_runs
from tests.command import contsym_here
from tests.differences.conftest import copy_of
from tests.errors import message_of
from tests.stored_results import store_run


@pytest.fixture(autouse=True)
def only_toy_tasks(monkeypatch):
    monkeypatch.setattr(run, "BUNDLED_TASKS", ())


@pytest.fixture(scope="module")
def copied(tiny_encoder_folder, tmp_path_factory):
    return copy_of(tiny_encoder_folder, tmp_path_factory.mktemp("copied") / "model")


def test_json_is_the_result_and_the_page_is_written(tiny_encoder_folder, copied, toy, tmp_path):
    done = contsym_here(
        *(
            "diff",
            tiny_encoder_folder,
            copied,
            "--wikidata",
            toy["wikidata"],
            "--json",
            "--to",
            "page",
        ),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    found = Diff.model_validate_json(done.stdout)
    assert [(a.task, a.measure, a.change) for a in found.abilities] == [
        ("wikidata", "probe", 0.0),
        ("wikidata", "k-NN", 0.0),
    ]
    # The 64 test pairs of the toy task; its 18 validation pairs are learned from too.
    assert [(t.n, t.n_learned) for t in found.tasks] == [(64, 82)]
    assert {g.column for g in found.abilities[0].groups} == {"relation", "kind"}
    assert sum(g.n for g in found.abilities[0].groups if g.column == "kind") == 64
    assert (tmp_path / "page" / "report.html").is_file() and (
        tmp_path / "page" / "tables" / "parts.csv"
    ).is_file()
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "pairs.jsonl"], "error: --task 'pairs.jsonl': expected NAME=FILE, as mine=pairs.jsonl"),
        (
            ["--task", "mnli=a.jsonl"],
            "error: --task mnli=a.jsonl: mnli is a task of contsym's; expected --mnli a.jsonl, or another name",
        ),
        (["--task", "a=x", "--task", "a=y"], "error: --task a is given twice; give it once"),
        (["--task", "a=none.jsonl"], "error: none.jsonl: no such file; expected a file of labelled pairs"),
    ],
)
def test_mistakes_are_one_line_and_exit_with_2(tiny_encoder_folder, copied, words, message, tmp_path):
    done = contsym_here("diff", tiny_encoder_folder, copied, *words, cwd=tmp_path)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_figures")
def test_a_limit_draws_the_same_pairs_for_both_sides(tiny_encoder_folder, copied, toy, tmp_path):
    words = (
        "diff",
        tiny_encoder_folder,
        copied,
        "--wikidata",
        toy["wikidata"],
        "--limit",
        "50",
        "--json",
    )
    first, again = (contsym_here(*words, "--seed", "5", cwd=tmp_path) for _ in range(2))
    results = [json.loads(each.stdout) for each in (first, again)]
    assert results[0]["tasks"][0]["n"] == 50 and results[0]["tasks"][0]["n_learned"] == 68
    for each in results:
        del each["seconds"]
    assert results[0] == results[1]


def test_a_misspelt_run_is_answered_with_what_there_is(tmp_path):
    expected = (
        "expected minilm, minilm-nli, mpnet, roberta-large, roberta-large-mnli, latest, a run of --output (contsym runs), a "
        "Hub id (owner/name) or a folder with model.safetensors"
    )
    assert message_of(_checkpoint, "latest", tmp_path) == (
        f"'latest': {tmp_path} has no run yet; contsym run --save-model makes one, or --output names the folder of others"
    )
    store_run(tmp_path, "knn_fixed-mnli_then_wikidata-5e052868ceac", [0])
    for typed, meant in (("lastest", "latest"), ("knn_fxed", "knn_fixed"), ("minlm", "minilm or minilm-nli")):
        assert message_of(_checkpoint, typed, tmp_path) == (
            f"{typed!r} is no preset, no run of {tmp_path} and no folder; did you mean {meant}? Otherwise {expected}"
        )
    assert _checkpoint("minilm@main", tmp_path) == "minilm@main"


@pytest.mark.usefixtures("no_figures")
def test_another_page_is_not_overwritten(tiny_encoder_folder, copied, toy, tmp_path):
    words = ("--wikidata", toy["wikidata"], "--to", "page")
    for _ in range(2):
        done = contsym_here("diff", tiny_encoder_folder, copied, *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    other = contsym_here("diff", copied, tiny_encoder_folder, *words, cwd=tmp_path)
    assert (other.returncode, other.stderr.splitlines()[-1]) == (
        2,
        "error: --to page: is there already, and is not the page of this comparison; expected a new folder",
    )


def test_a_run_stands_for_the_model_that_it_saved(tmp_path):
    store_run(tmp_path, "a", [0], strategy="fine_tune")
    store_run(tmp_path, "b", [0, 1], strategy="ridge")
    (run,) = (run for run in stored_runs(tmp_path) if run.name == "a")
    (result,) = run.done().values()
    for name in ("minilm", "owner/name", "owner/name@main", str(tmp_path)):
        assert _checkpoint(name, tmp_path) == name
    assert "has no saved model" in message_of(_checkpoint, "a", tmp_path)
    folders = [
        each / "model" for each in next(r for r in stored_runs(tmp_path) if r.name == "b").done().values()
    ]
    for folder in (result / "model", *folders):
        folder.mkdir()
    for name in ("a", str(run.folder), str(result)):
        assert _checkpoint(name, tmp_path) == str(result / "model")
    assert message_of(_checkpoint, "b", tmp_path) == (
        f"'b' has models of the seeds 0, 1; name one by its folder: {folders[0]} (seed 0), {folders[1]} (seed 1)"
    )
