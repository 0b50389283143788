"""The commands as a user types them: output, messages and exit codes, literally."""

import json
import shutil

import pytest

from contsym.errors import SettingError
from contsym.strategies.catalog import load_strategy
from contsym.training.plan import parse_settings
from tests.command import contsym, contsym_here
from tests.toy import nli_rows, relation_rows, write_task

RUN = ("run", "--strategy", "knn_fixed", "--scenario", "wikidata_only")


def toy_data(encoder):
    """The options of a run on the toy pairs of the working folder."""
    return ("--encoder", encoder, "--wikidata", "wikidata", "--device", "cpu")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("run", "--strategy", "knn_fixd", "--scenario", "wikidata_only"),
            "strategy 'knn_fixd' is unknown; did you mean knn_fixed or knn_cosine or knn_learned? (contsym list)",
        ),
        (
            ("run", "--strategy", "knn_fixed", "--scenario", "mnli_then_wiki"),
            "scenario 'mnli_then_wiki' is unknown; did you mean mnli_then_wikidata or "
            "snli_then_wikidata or anli_then_wikidata? (contsym list)",
        ),
        (
            (*RUN, "--wikidata", "no/such/file.jsonl"),
            "--wikidata no/such/file.jsonl: no such file or folder; expected a path, bundled or hub",
        ),
        (
            (*RUN, "--mnli", "bundled"),
            "--mnli bundled: scenario wikidata_only has no mnli task; it has wikidata",
        ),
        ((*RUN, "--shots", "1"), "--shots 1 is too few; expected at least 2"),
        (
            (*RUN, "--step", "8"),
            "--step 8: only --shots least has a step; leave it out, add --shots least, or give the number of training steps "
            "by --set steps=8",
        ),
        (
            (*RUN, "--seeds", "a,b"),
            "--seeds 'a,b' is not understood; expected 3 for three seeds, or 0,1,2 or 0-4",
        ),
        ((*RUN, "--set", "k"), "--set 'k' is no setting; expected name=value, as k=5"),
        (
            (*RUN, "--freeze", "embeddings", "--set", "freeze=layers:1"),
            "--set freeze is given twice; give it once",
        ),
        (
            ("sweep", "--strategies", "fine_tune", *RUN[3:], "--shots", "8", "--set", "index=ivf"),
            "--set index: no strategy of the sweep has it; expected one of batch_size, clip_norm, epochs, freeze, "
            "head, learning_rate, min_steps, schedule, steps, warmup, weight_decay",
        ),
        ((*RUN, "--target", "2"), "--target 2.0 is out of range; expected 0 < target <= 1"),
        (
            (*RUN, "--size", f"rte={10**18}"),
            f"--size rte={10**18}: expected a number, as --size rte=500",
        ),
        (
            (*RUN, "--shots", "many"),
            "--shots 'many' is not understood; expected a number, as 64, least or all",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, tmp_path):
    done = contsym_here(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"error: {message}\n"
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = contsym_here(*RUN, "--output", "file/runs", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: --output file/runs cannot be written (Not a directory); expected a folder that you "
        "may write to; name another with --output\n"
    )


@pytest.fixture(scope="module")
def toy_run(tmp_path_factory, tiny_encoder_folder, mlflow_template):
    """One run of two seeds with --json, from a folder of its own."""
    folder = tmp_path_factory.mktemp("cli")
    write_task(folder / "wikidata", relation_rows(), 64)
    write_task(folder / "mnli", nli_rows(), 30)
    for output in ("mlruns", "later"):
        (folder / output).mkdir()
        shutil.copy(mlflow_template, folder / output / "mlflow.db")
    done = contsym_here(
        *("run", "--strategy", "knn_fixed", "--scenario", "mnli_then_wikidata"),
        *(
            "--protocol",
            "sequential",
            "--encoder",
            tiny_encoder_folder,
            "--mnli",
            "mnli",
            "--wikidata",
            "wikidata",
        ),
        *("--shots", "32", "--seeds", "0,1", "--set", "steps=4", "--set", "learning_rate=0.003"),
        *("--device", "cpu", "--json"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder, done


BOOM = '''"""A method that fails."""

from contsym.strategies.fine_tune import FineTune

CARD = {"source": "these tests", "trains": "encoder and head", "stores": "a head"}


class Boom(FineTune):
    def objective(self, output, labels):
        raise RuntimeError("not today")
'''


@pytest.mark.usefixtures("untracked")
def test_an_index_that_misses_pairs_is_said(toy_run, tiny_encoder_folder):
    folder, _ = toy_run
    done = contsym_here(
        *(*RUN, *toy_data(tiny_encoder_folder)),
        *("--shots", "80", "--set", "steps=2", "--no-curve", "--no-audit", "--set", "index=ivf"),
        *("--output", "indexed"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    # 4 sqrt(80) is 35.8 lists.
    assert "! memory index ivf over 80 pairs: 32 of 36 lists are searched" in done.stdout


def test_a_run_that_fails_is_stored_as_failed_and_ends_with_the_plugins_line(toy_run, tiny_encoder_folder):
    """In a process of its own, whose last words are Python's."""
    folder, _ = toy_run
    method = (folder.parent / "boom.py").resolve()
    method.write_text(BOOM, encoding="utf-8")
    done = contsym(
        *(
            "run",
            "--strategy",
            "boom",
            "--plugin",
            method,
            "--scenario",
            "wikidata_only",
            "--no-curve",
            "--no-audit",
        ),
        *(*toy_data(tiny_encoder_folder), "--output", "failing"),
        cwd=folder,
    )
    line = BOOM[: BOOM.index("raise")].count("\n") + 1
    assert done.returncode == 1
    assert done.stderr.endswith(f"RuntimeError: not today\nboom.py:{line}\n")
    assert "1 failed of 1" in contsym_here("runs", "--output", "failing", cwd=folder).stdout
    shown = contsym_here("show", "--output", "failing", cwd=folder)
    assert f"RuntimeError: not today (boom.py:{line})" in shown.stdout + shown.stderr


def test_json_is_all_there_is_on_stdout(toy_run):
    _, done = toy_run
    assert done.stdout.count("\n") == 1
    result = json.loads(done.stdout)
    assert result["strategy"] == "knn_fixed"
    assert result["scenario"] == "mnli_then_wikidata"
    assert result["tasks"] == ["mnli", "wikidata"]
    assert set(result["sources"]["wikidata"]) >= {"name", "rows", "fingerprint"}
    assert result["sources"]["wikidata"]["rows"] == {"train": 32, "validation": 18, "test": 64}
    assert [seed["seed"] for seed in result["seeds"]] == [0, 1]
    for seed in result["seeds"]:
        assert len(seed["matrix"]) == 3
        assert all(len(row) == 2 for row in seed["matrix"])
        assert set(seed["final"]) == {"mnli", "wikidata"}
        assert set(seed["forgetting"]) == {"mnli"}
        assert len(seed["mlflow_run_id"]) == 32
        assert {"figures", "seconds"} <= set(seed)
    mean = result["mean"]
    for row in range(3):
        for task in range(2):
            values = [seed["matrix"][row][task] for seed in result["seeds"]]
            assert mean["matrix"][row][task] == pytest.approx(sum(values) / 2)


def test_the_plan_and_the_table_are_on_stderr_with_json(toy_run):
    _, done = toy_run
    for word in ("strategy", "steps=4", "seeds 0, 1", "majority class", "Forgot", "more with --verbose"):
        assert word in done.stderr


def test_the_table_is_kept_with_the_run(toy_run):
    folder, _ = toy_run
    (table,) = (folder / "mlruns" / "runs").glob("*/table.txt")
    text = table.read_text("utf-8")
    assert text.lstrip().startswith("knn_fixed · mnli_then_wikidata") and "backward transfer" in text


def test_sync_finds_nothing_left_to_send(toy_run):
    folder, _ = toy_run
    done = contsym_here("sync", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0 results sent to ")


def test_a_server_that_is_down_costs_a_warning_and_sync_sends_later(toy_run, tiny_encoder_folder):
    folder, _ = toy_run
    done = contsym_here(
        *("run", "--strategy", "zero_shot", "--scenario", "wikidata_only"),
        *("--encoder", tiny_encoder_folder, "--wikidata", "wikidata", "--output", "later"),
        *("--tracking-uri", "http://127.0.0.1:9"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert "warning: " in done.stderr
    assert "not in MLflow yet: contsym sync sends it" in done.stdout
    sent = contsym_here("sync", "--output", "later", cwd=folder)
    assert sent.stdout.startswith("1 result sent to "), sent.stderr


@pytest.mark.usefixtures("untracked")
def test_a_quick_look_is_another_result_and_says_so_everywhere(toy_run, tiny_encoder_folder):
    folder, _ = toy_run
    words = (
        *RUN,
        *toy_data(tiny_encoder_folder),
        "--shots",
        "8",
    )
    words = (*words, "--set", "steps=2", "--no-curve", "--no-audit", "--output", "quick")
    plan = json.loads(contsym_here(*words, "--limit", "16", "--dry-run", "--json", cwd=folder).stdout)
    assert not (folder / "quick").exists()
    looked = contsym_here(*words, "--limit", "16", cwd=folder)
    assert looked.returncode == 0, looked.stderr
    assert "16 pairs of each part (--limit)" in " ".join(looked.stderr.split())
    assert "2 steps (--limit 16)" in " ".join(looked.stdout.split())
    assert "! --limit 16: at most 16 examples of each part" in looked.stdout
    listed = contsym_here("runs", "--output", "quick", cwd=folder).stdout
    assert "(--limit 16)" in " ".join(listed.split())
    assert "! --limit 16" in contsym_here("metrics", "latest", "--output", "quick", cwd=folder).stdout
    found = json.loads(contsym_here("show", "latest", "--json", "--output", "quick", cwd=folder).stdout)
    assert found["sources"]["wikidata"]["available"] == {"train": 16, "validation": 16, "test": 16}
    assert [cell["key"] for cell in plan["cells"]] == [seed["key"] for seed in found["seeds"]]
    # A limit that leaves everything is no limit.
    keys = [
        json.loads(contsym_here(*words, *more, "--dry-run", "--json", cwd=folder).stdout)["cells"][0]["key"]
        for more in ([], ["--limit", "1000"], ["--limit", "16"])
    ]
    assert keys[0] == keys[1] != keys[2]


def test_a_file_has_the_options_of_a_run(toy_run, tiny_encoder_folder):
    folder, _ = toy_run
    (folder / "mine.toml").write_text(
        f'strategies = ["knn_fixed", "ncm"]\nscenario = "wikidata_only"\nshots = [8]\nseeds = 2\nwikidata = "wikidata"\n'
        f'encoder = "{tiny_encoder_folder}"\naudit = false\n[set]\nk = [1]\nsteps = 2\n'
    )

    def planned(*words):
        done = contsym_here("run", "--config", "mine.toml", *words, "--dry-run", "--json", cwd=folder)
        return done.stderr or json.loads(done.stdout)["cells"]

    cells = planned("--strategy", "knn_fixed")
    assert [(c["strategy"], c["seed"], c["shots"], c["settings"]) for c in cells] == [
        ("knn_fixed", seed, 8, {"k": "1", "steps": "2"}) for seed in (0, 1)
    ]
    assert [
        cell["shots"] for cell in planned("--strategy", "knn_fixed", "--shots", "16", "--seeds", "3,")
    ] == [16]
    assert planned() == (
        "error: --config mine.toml: strategies are knn_fixed, ncm; contsym run takes one: give --strategy, or use contsym "
        "sweep\n"
    )


def test_too_many_shots_say_how_many_there_are(toy_run, tiny_encoder_folder):
    folder, _ = toy_run
    done = contsym_here(
        *RUN, "--encoder", tiny_encoder_folder, "--wikidata", "wikidata", "--shots", "900", cwd=folder
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: --shots 900 needs 450 ")
    assert "Traceback" not in done.stderr


def test_an_unknown_setting_names_the_nearest(toy_run, tiny_encoder_folder):
    folder, _ = toy_run
    done = contsym_here(
        *RUN, "--encoder", tiny_encoder_folder, "--wikidata", "wikidata", "--set", "margn=0.5", cwd=folder
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: --set margn: no setting of this strategy; did you mean margin? it has batch_size, clip_norm, "
        "epochs, freeze, guard, index, k, learning_rate, margin, memory, memory_dtype, metric, min_steps, "
        "relation, schedule, steps, warmup, weight_decay\n"
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", "1e308", "less than or equal to 1000000000000"),
        ("min_steps", str(10**400), "less than or equal to 1000000000000"),
        (
            "memory",
            f"reservoir:{'9' * 5000}",
            "refresh, stale, compensate or reservoir:N, as reservoir:500",
        ),
    ],
)
def test_a_number_that_cannot_be_computed_with_is_refused(name, value, expected):
    with pytest.raises(SettingError, match=f"^--set {name}=.*: expected {expected}$"):
        parse_settings(load_strategy("knn_fixed"), {name: value})


def test_settings_of_strategies_and_addons_are_listed_and_of_nothing_else(tmp_path):
    done = contsym_here("list", "addons", "--settings", "--json", cwd=tmp_path)
    settings = {name: entry["settings"] for name, entry in json.loads(done.stdout)["addons"].items()}
    assert settings["ewc"][0] == "ewc_strength=1000.0: weight of the penalty"
    done = contsym_here("list", "scenarios", "--settings", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "error: --settings goes with: contsym list strategies or addons --settings (contsym list --help)\n",
    )


def test_list_names_every_strategy_with_what_it_stores(tmp_path):
    done = contsym_here("list", "strategies", "--json", cwd=tmp_path)
    listed = json.loads(done.stdout)["strategies"]
    assert set(listed) >= {"random_labels", "knn_fixed", "knn_learned", "fine_tune", "zero_shot"}
    assert all(
        entry[field] for entry in listed.values() for field in ("summary", "source", "trains", "stores")
    )


@pytest.mark.parametrize("command", ["run", "list", "sync", "ui"])
def test_every_help_shows_an_example(command, tmp_path):
    done = contsym_here(command, "--help", cwd=tmp_path)
    assert "Example" in done.stdout
    assert f"contsym {command}" in done.stdout
