"""Saved models on the command line: predict, add and export."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from contsym.commands.model import _export_encoder
from contsym.models.encoders.checkpoints import locate
from contsym.models.encoders.load import load
from contsym.models.encoders.nli_head import kind_of_head, read_head
from contsym.models.encoders.resolve import with_pooling
from contsym.sweeps.runs import stored_runs
from tests.command import contsym, contsym_here, environment
from tests.data.hub_server import TOKEN, serving

PAIR = ("--pair", "anna borders ben", "ben borders anna")
ROWS = [
    {"premise": "anna borders ben", "hypothesis": "ben borders anna", "label": "entailment"},
    {"premise": "=anna", "hypothesis": "[red]ben", "label": "neutral"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, toy, tiny_encoder_folder, mlflow_template):
    """A folder with the runs of knn_fixed, two seeds, and of fine_tune, one seed under protocol retrain."""
    folder = tmp_path_factory.mktemp("models")
    for output in ("mlruns", "known"):
        (folder / output).mkdir()
        shutil.copy(mlflow_template, folder / output / "mlflow.db")
    common = [
        "--scenario",
        "mnli_then_wikidata",
        "--encoder",
        tiny_encoder_folder,
        "--set",
        "steps=2",
        "--no-curve",
    ]
    common += ["--no-audit", "--precision", "fp32", "--device", "cpu", "--save-model"]
    common += [word for task in ("mnli", "wikidata") for word in (f"--{task}", toy[task])]
    for words in (
        ("--strategy", "knn_fixed", "--seeds", "0,1", "--protocol", "sequential"),
        ("--strategy", "fine_tune", "--protocol", "retrain", "--pretrain", "steps=2", "--output", "known"),
    ):
        done = contsym_here("run", *words, *common, cwd=folder)
        assert done.returncode == 0, done.stderr
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return folder


def name(folder, output="mlruns"):
    (run,) = stored_runs(folder / output)
    return run.name


def answers(done):
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_run_with_models_labels_pairs_from_a_file_from_stdin_and_from_the_command_line(folder):
    run = name(folder)
    words = ("predict", run, "--seed", "1", "--format", "jsonl")
    from_file = answers(contsym_here(*words, "pairs.jsonl", cwd=folder))
    assert [answer["premise"] for answer in from_file] == [row["premise"] for row in ROWS]
    assert all(sum(answer["probabilities"].values()) == pytest.approx(1) for answer in from_file)
    for answer in from_file:
        assert answer["label"] == max(answer["scores"], key=answer["scores"].get)
    typed = answers(contsym_here(*words, *PAIR, "--explain", cwd=folder))
    assert typed[0]["label"] == from_file[0]["label"]
    voters = typed[0]["neighbours"]
    assert len(voters) == 3
    assert typed[0]["scores"][voters[0]["label"]] > 0
    program = [sys.executable, "-m", "contsym", *words, "-"]
    piped = (folder / "pairs.jsonl").read_text()
    done = subprocess.run(program, input=piped, capture_output=True, text=True, cwd=folder, env=environment())
    assert answers(done) == from_file


def test_csv_is_safe_and_a_table_shows_texts_as_they_are(folder):
    words = ("predict", name(folder), "pairs.jsonl", "--seed", "0")
    done = contsym_here(*words, "--format", "csv", "--explain", cwd=folder)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert rows[1]["premise"] == "'=anna"
    assert len(json.loads(rows[0]["neighbours"])) == 3
    assert "[red]ben" in contsym_here(*words, cwd=folder).stdout


def test_a_neighbours_distance_stands_under_its_own_title_at_every_width(folder):
    for width, column in (("80", "probability"), ("200", "neutral")):
        words = ("predict", name(folder), *PAIR, "--seed", "0", "--explain")
        lines = contsym_here(*words, cwd=folder, COLUMNS=width).stdout.splitlines()
        title = next(line for line in lines if "distance" in line)
        assert column in title
        voter = next(line for line in lines if re.search(r" \d\.\d{3}$", line.rstrip()))
        assert abs(len(voter.rstrip()) - len(title.rstrip())) <= 1


def test_the_known_head_answers_where_there_is_one(folder):
    words = ("predict", name(folder, "known"), "--output", "known", *PAIR, "--format", "jsonl")
    own, known = (answers(contsym_here(*words, "--head", head, cwd=folder))[0] for head in ("own", "known"))
    assert own["scores"] != known["scores"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("predict", "RUN", *PAIR), "has models of the seeds 0, 1; choose one with --seed"),
        (("predict", "RUN", *PAIR, "--seed", "7"), "--seed 7: 'RUN' has models of the seeds 0, 1; expected one of them"),
        (("predict", "RUN", "--seed", "0"), "expected pairs, as a file, as - for stdin, or with --pair; give one of them"),
        (("predict", "nothing", *PAIR), "'nothing' is not there; expected latest, a run or sweep of mlruns"),
        (("predict", ".", *PAIR), "no saved model (contsym.json is missing)"),
        (("predict", "RUN", *PAIR, "--seed", "0", "--head", "known"), "the model has no head of a known task"),
        (("add", "RUN", "pairs.jsonl", "--seed", "0"), "RUN belongs to a run or to the Hub, and stays as it is; give"),
        (("add", "RUN", "pairs.jsonl", "--seed", "0", "--to", "."), "--to .: is there already; expected a new folder"),
        (("export", "RUN", "--to", "there"), "expected sentence-transformers:FOLDER or hub:OWNER/NAME"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(folder, words, message):
    run = name(folder)
    done = contsym_here(*(word.replace("RUN", run) for word in words), cwd=folder)
    assert done.returncode == 2
    assert message.replace("RUN", run) in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.usefixtures("untracked")
def test_a_run_without_models_says_how_to_get_them(folder, toy, tiny_encoder_folder):
    words = (
        "run",
        "--strategy",
        "ncm",
        "--scenario",
        "wikidata_only",
        "--encoder",
        tiny_encoder_folder,
        "--wikidata",
        toy["wikidata"],
    )
    words += ("--output", "without", "--no-audit", "--no-curve")
    assert contsym_here(*words, cwd=folder).returncode == 0
    run = name(folder, "without")
    done = contsym_here("predict", run, *PAIR, "--output", "without", cwd=folder)
    assert (
        "has no saved model; the same command with --save-model trains it again and stores one" in done.stderr
    )
    assert "nothing is left to train" not in contsym_here(*words, "--save-model", cwd=folder).stderr
    assert contsym_here("predict", run, *PAIR, "--output", "without", cwd=folder).returncode == 0


@pytest.mark.usefixtures("no_workers", "untracked")
def test_cells_of_a_sweep_have_models_too(folder, toy, tiny_encoder_folder):
    words = ("sweep", "--strategies", "ncm", "--scenario", "wikidata_only", "--shots", "8", "--seeds", "1")
    words += (
        "--encoder",
        tiny_encoder_folder,
        "--wikidata",
        toy["wikidata"],
        "--output",
        "swept",
        "--no-audit",
    )
    assert contsym_here(*words, cwd=folder).returncode == 0
    done = contsym_here("predict", "ncm@8", *PAIR, "--output", "swept", cwd=folder)
    assert "has no saved model" in done.stderr
    assert contsym_here(*words, "--save-model", cwd=folder).returncode == 0
    assert contsym_here("predict", "ncm@8", *PAIR, "--output", "swept", cwd=folder).returncode == 0


def test_pairs_are_added_to_a_new_folder_and_then_in_place(folder):
    done = contsym_here("add", name(folder), "pairs.jsonl", "--seed", "0", "--to", "more", cwd=folder)
    assert done.stdout == "2 pairs added; more has 2 of them beside those of its run\n"
    done = contsym_here("add", "more", "pairs.jsonl", cwd=folder)
    assert done.stdout == "2 pairs added; more has 4 of them beside those of its run\n"
    (answer,) = answers(contsym_here("predict", "more", *PAIR, "--explain", "--format", "jsonl", cwd=folder))
    # It stands twice among the stored pairs, at distance 0.
    assert [round(voter["distance"], 5) for voter in answer["neighbours"]][:2] == [0, 0]
    (folder / "vague.jsonl").write_text(json.dumps({**ROWS[0], "label": "unclear"}) + "\n")
    done = contsym_here("add", "more", "vague.jsonl", cwd=folder)
    assert done.stderr.strip().endswith(
        "label 'unclear' is unknown; expected entailment, neutral or contradiction"
    )
    assert contsym_here("add", "more", "vague.jsonl", "--new-label", "unclear", cwd=folder).returncode == 0
    (answer,) = answers(contsym_here("predict", "more", *PAIR, "--format", "jsonl", cwd=folder))
    assert set(answer["probabilities"]) == {"entailment", "neutral", "contradiction", "unclear"}


def test_an_export_has_a_card_and_no_path_of_this_machine(folder):
    run = name(folder, "known")
    to = "sentence-transformers:shared/symmetric"
    done = contsym_here("export", run, "--output", "known", "--to", to, cwd=folder)
    assert (done.returncode, done.stdout) == (0, "wrote shared/symmetric\n")
    files = {
        path: path.read_bytes() for path in (folder / "shared" / "symmetric").rglob("*") if path.is_file()
    }
    roots = {str(part).encode() for part in (folder, folder.parent)}
    assert not [path for path, content in files.items() if any(root in content for root in roots)]
    card = (folder / "shared" / "symmetric" / "README.md").read_text()
    assert "--strategy fine_tune" in card
    assert "| MNLI | mnli | 60 | 30 |" in card
    assert "95% Wilson intervals" in card
    words = ("predict", "shared/symmetric", *PAIR, "--format", "jsonl")
    assert answers(contsym_here(*words, cwd=folder)) == answers(
        contsym_here("predict", run, "--output", "known", *PAIR, "--format", "jsonl", cwd=folder)
    )


def umask() -> int:
    found = os.umask(0)
    os.umask(found)
    return found


@pytest.mark.slow
def test_an_encoder_is_exported_whole_with_its_head(tmp_path):
    """What is a small difference in the package is a folder that anybody reads, with the same vectors to the bit."""
    home = {"HOME": str(tmp_path)}
    done = contsym_here("export", "minilm-nli", "--to", "sentence-transformers:~/start", cwd=tmp_path, **home)
    assert (done.returncode, done.stdout) == (0, f"wrote {tmp_path}/start\n")
    kept, written = (with_pooling(locate(each)) for each in ("minilm-nli", str(tmp_path / "start")))
    texts = ["anna borders ben", "ben borders anna"]
    assert torch.equal(load(kept).encode(texts), load(written).encode(texts))
    assert written.seen == kept.seen
    assert (tmp_path / "start" / "model.safetensors").stat().st_mode & 0o777 == 0o666 & ~umask()
    assert all(map(torch.equal, *(read_head(each.head_folder).values() for each in (kept, written))))
    refused = contsym_here("export", "minilm-nli", "--to", "hub:ada/start", cwd=tmp_path)
    assert refused.returncode == 2 and "minilm-nli is a preset and no model of yours" in refused.stderr


def test_a_checkpoint_with_an_nli_head_is_exported_with_it(tiny_nli_folder, tmp_path):
    _export_encoder(str(tiny_nli_folder), tmp_path / "start")
    kept, written = (with_pooling(locate(str(each))) for each in (tiny_nli_folder, tmp_path / "start"))
    assert kind_of_head(written) == "joint"
    pair = [("anna borders ben", "ben borders anna")]
    assert torch.equal(*(load(each, head="nli").encode(pair) for each in (kept, written)))
    assert torch.equal(*(load(each).encode(["anna borders ben"]) for each in (kept, written)))


@pytest.mark.slow
def test_a_model_is_uploaded_to_the_hub_and_used_from_there(folder, tmp_path):
    with serving() as hub:
        variables = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
        variables |= {"HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN}
        words = ("export", name(folder), "--seed", "0", "--to", "hub:ada/symmetric")
        refused = contsym(*words, cwd=folder, **{**variables, "HF_TOKEN": ""})
        assert refused.returncode == 2
        assert "the Hub has no model ada/symmetric, or it is private (401)" in refused.stderr
        done = contsym(*words, cwd=folder, **variables)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"uploaded {hub.url}/ada/symmetric\n"
        repository = hub.repositories["models", "ada/symmetric"]
        assert repository.private
        files = repository.commits[repository.refs["main"]]
        assert {"README.md", "contsym.json", "memory.jsonl", "model.safetensors", "modules.json"} <= set(
            files
        )
        assert TOKEN not in "".join((done.stdout, done.stderr, refused.stderr, *map(str, hub.requests)))
        there = contsym("predict", "ada/symmetric", *PAIR, "--format", "jsonl", cwd=tmp_path, **variables)
        here = contsym_here("predict", name(folder), "--seed", "0", *PAIR, "--format", "jsonl", cwd=folder)
        assert answers(there) == answers(here)
    offline = {**os.environ, **variables, "HF_HUB_OFFLINE": "1"}
    again = contsym("predict", "ada/symmetric", *PAIR, "--format", "jsonl", cwd=tmp_path, **offline)
    assert answers(again) == answers(here)


def test_a_model_in_mlflow_is_linked_to_its_run(folder):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("contsym/mnli_then_wikidata").experiment_id
    models = client.search_logged_models([experiment])
    assert {model.tags["contsym.seed"] for model in models} == {"0", "1"}
    for model in models:
        run = client.get_run(model.source_run_id)
        assert run.data.tags["contsym.key"] == model.tags["contsym.key"]
        assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
        sent = Path(model.artifact_location.removeprefix("file://"))
        stored = folder / "mlruns" / "results" / model.tags["contsym.key"] / "model"
        assert {p.relative_to(sent).as_posix() for p in sent.rglob("*")} == {
            p.relative_to(stored).as_posix() for p in stored.rglob("*")
        }
    again = contsym_here("sync", cwd=folder)
    assert again.returncode == 0
    assert len(client.search_logged_models([experiment])) == 2
