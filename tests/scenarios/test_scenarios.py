"""Complete runs with the tiny encoder: every scenario runs as its file describes."""

import io
import json

import pytest
from click.testing import CliRunner

from contsym.cli import cli
from contsym.commands.views.run import orders_table, result_tables
from contsym.config import RunConfig
from contsym.errors import ContsymError, SettingError
from contsym.report.collect import collect
from contsym.results import store
from contsym.results.compare import compare_runs
from contsym.results.mlflow_records import seed_record
from contsym.results.summary import by_order, over_orders
from contsym.scenarios.catalog import find_scenario, scenario_runs, scenarios
from contsym.sweeps.find import find_row
from contsym.sweeps.runs import stored_runs
from contsym.testing.toy import nli_rows, relation_rows, write_task, write_tasks
from contsym.training.parts import training_part
from contsym.training.plan import prepare
from tests.runs import costs, stored_results, toy_config, toy_run
from tests.stored_results import make_result
from tests.strategy_settings import fast_and_slow

BUNDLED = ("relations_one_by_one", "long_stream", "unseen_relations", "property_disjoint")
"""Scenarios that need more relations, or entities that differ more, than the toy task has."""


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return {**write_tasks(folder), "snli": str(write_task(folder / "snli", nli_rows(60), 20))}


def sources(toy, scenario):
    return {**toy, **({"wikidata": "bundled"} if scenario in BUNDLED else {})}


def shown(tables):
    from rich.console import Console

    console = Console(width=80, record=True, file=io.StringIO())
    console.print(tables)
    return console.export_text()


TOY = ("mnli", "wikidata")
"""Tasks with toy pairs; tests/training/test_every_run_is_stored.py has all."""


@pytest.mark.parametrize(
    "scenario",
    fast_and_slow(
        [
            run
            for name in scenarios()
            for run in scenario_runs(name)
            if set(find_scenario(run).tasks) <= {*TOY} and "wikidata" in find_scenario(run).tasks
        ],
        fast=["new_label", "relations_one_by_one", "order:wikidata,mnli"],
        slow=["lexicalised_to_delexicalised", "noisy_labels", "unseen_relations"],
    ),
)
def test_every_scenario_goes_through(scenario, toy, tiny_encoder_folder, tmp_path):
    result, rows, tensors = toy_run(
        sources(toy, scenario), tiny_encoder_folder, tmp_path, "knn_fixed", scenario,
        shots=8, settings={"steps": "1"},
    )  # fmt: skip
    names = find_scenario(scenario).names
    assert tuple(result.tasks) == names
    assert set(result.sources) == set(result.final) == set(names)
    assert set(result.forgetting) == set(names[:-1])
    assert {row["task"] for row in rows} == set(names)
    assert len(result.matrix) == len(names) + 1
    assert [result.sources[name].task for name in names] == list(find_scenario(scenario).tasks)
    cost = result.cost
    stored_after = [each.stored_bytes_after for each in cost.experiences]
    assert len(stored_after) == len(names)
    assert stored_after[-1] == cost.stored_bytes
    # A k-NN stores every pair, so what it stores grows with each experience.
    assert stored_after == sorted(stored_after)
    folder = store.write_result(tmp_path, result, rows, tensors)
    assert store.read_result(folder).tasks == list(names)
    assert all(name in shown(result_tables([result])) for name in names)
    steps = [step for key, _, step in seed_record(result).metrics if key == "cost/stored_bytes_after"]
    assert steps == list(range(1, len(names) + 1))


def test_storing_only_takes_no_step_where_there_is_a_memory(toy, tiny_encoder_folder, tmp_path):
    stored, _, _ = toy_run(toy, tiny_encoder_folder, tmp_path, "knn_fixed", "new_label", shots=8)
    trained, _, _ = toy_run(toy, tiny_encoder_folder, tmp_path, "fine_tune", "new_label", shots=8)
    assert costs(stored, "training_steps") == [12, 0, 0]
    assert costs(trained, "training_steps") == [12, 12, 12]
    assert costs(stored, "pairs_seen")[1:] == [0, 0]
    # 40 pairs of two labels, 20 of the third, 8 shots: 32 float32 and an int64 each.
    assert costs(stored, "stored_bytes_after") == [n * (32 * 4 + 8) for n in (40, 60, 68)]


def test_a_label_that_is_stored_is_predicted(toy, tiny_encoder_folder, tmp_path):
    _, rows, _ = toy_run(
        toy, tiny_encoder_folder, tmp_path, "knn_fixed", "new_label", shots=8, settings={"steps": "60"}
    )
    own = [row for row in rows if row["task"] == "third_label"]
    assert {row["label"] for row in own} == {"entailment", "neutral", "contradiction"}
    assert "neutral" not in {row["row_1"] for row in own}
    assert "neutral" in {row["row_2"] for row in own}


def test_the_plan_knows_that_storing_takes_no_step(toy, tiny_encoder_folder, tmp_path):
    from contsym.training.plan import n_training_steps

    for strategy, steps in (("knn_fixed", [12, 0, 0]), ("fine_tune", [12, 12, 12])):
        plan = prepare(toy_config(toy, tiny_encoder_folder, tmp_path, strategy, "new_label"))
        assert [n_training_steps(plan, i, [50] * len(plan.tasks)) for i in range(len(plan.tasks))] == steps


# -- noise --


def parts_of(toy, encoder, tmp_path, seed=0, **changes):
    plan = prepare(toy_config(toy, encoder, tmp_path, "knn_fixed", "noisy_labels", shots=20, **changes))
    task = plan.tasks[1]
    return task, training_part(task, plan.config, seed)


def n_flipped(task, part):
    true = dict(zip(task.train["id"], task.train["label"], strict=True))
    return sum(true[pair] != label for pair, label in zip(part["id"], part["label"], strict=True))


@pytest.mark.parametrize(("share", "n"), [(None, 4), (0.0, 0), (0.3, 6), (1.0, 20)])
def test_noise_is_the_files_or_the_runs_and_spares_the_test(share, n, toy, tiny_encoder_folder, tmp_path):
    task, part = parts_of(toy, tiny_encoder_folder, tmp_path, label_noise=share)
    clean = prepare(toy_config(toy, tiny_encoder_folder, tmp_path, "knn_fixed")).tasks[1]
    assert n_flipped(task, part) == n
    assert task.test["label"][:] == clean.test["label"][:]


def test_noise_goes_by_the_seed_and_not_by_the_strategy(toy, tiny_encoder_folder, tmp_path):
    first = parts_of(toy, tiny_encoder_folder, tmp_path)[1]
    assert first["label"][:] == parts_of(toy, tiny_encoder_folder, tmp_path)[1]["label"][:]
    other = parts_of(toy, tiny_encoder_folder, tmp_path, seed=1)[1]
    assert (first["id"][:], first["label"][:]) != (other["id"][:], other["label"][:])


# -- forms and splits --


def test_the_two_forms_are_of_the_same_pairs(toy, tiny_encoder_folder, tmp_path):
    plan = prepare(
        toy_config(toy, tiny_encoder_folder, tmp_path, "knn_fixed", "lexicalised_to_delexicalised", shots=12)
    )
    names, ids = (training_part(task, plan.config, 5) for task in plan.tasks)
    assert [pair.removesuffix("#delexicalised") for pair in ids["id"]] == names["id"][:]
    assert all("ent-" in premise for premise in ids["premise"])
    assert not any("ent-" in premise for premise in names["premise"])


def test_unseen_relations_are_not_trained_on(toy, tiny_encoder_folder, tmp_path):
    own = sources(toy, "unseen_relations")
    plan = prepare(toy_config(own, tiny_encoder_folder, tmp_path, "knn_fixed", "unseen_relations"))
    task = plan.tasks[1]
    assert not set(task.train["relation"]) & set(task.test["relation"])
    assert set(task.test["kind"]) == {"symmetric", "antisymmetric"}


def test_shots_and_split_are_of_any_task_of_symmetric_relations(tiny_encoder_folder, tmp_path):
    labels = '["entailment", "contradiction"]'
    task = f'[task.mine]\nsummary = "T"\nlabels = {labels}\nsymmetry = true\n'
    (tmp_path / "mine.toml").write_text(f'summary = "S"\n{task}[[experience]]\ntask = "mine"\n')
    chosen = {"mine": str(write_task(tmp_path / "pairs", relation_rows(), 64))}
    config = toy_config(
        chosen,
        tiny_encoder_folder,
        tmp_path,
        "knn_fixed",
        str(tmp_path / "mine.toml"),
        shots=10,
        split="pair",
    )
    (task,) = prepare(config).tasks
    assert len(training_part(task, config, 0)) == 10
    assert task.split == "pair"


@pytest.mark.parametrize(
    ("scenario", "changes", "message"),
    [
        (
            "unseen_relations",
            {"split": "entity"},
            "--split: scenario unseen_relations sets the split of wikidata itself; leave it out",
        ),
        (
            "lexicalised_to_delexicalised",
            {"form": "both"},
            "--form: scenario lexicalised_to_delexicalised sets the form of lexicalised, delexicalised itself; "
            "leave it out",
        ),
        (
            "mnli_then_wikidata",
            {"label_noise": 0.3},
            "--label-noise: scenario mnli_then_wikidata has no experience with noisy labels; expected one such as "
            "noisy_labels",
        ),
        ("order", {}, "scenario order stands for a run in each order; expected one, as order:mnli,wikidata"),
    ],
)
def test_an_option_fixed_by_the_scenario_is_refused(
    scenario, changes, message, toy, tiny_encoder_folder, tmp_path
):
    with pytest.raises(SettingError) as raised:
        prepare(toy_config(toy, tiny_encoder_folder, tmp_path, "knn_fixed", scenario, **changes))
    assert str(raised.value) == message


def test_shots_are_for_each_experience_and_an_error_names_it(tiny_encoder_folder, tmp_path):
    chosen = {"wikidata": "bundled"}
    stream = "relations_one_by_one"
    plan = prepare(toy_config(chosen, tiny_encoder_folder, tmp_path, "knn_fixed", stream, shots=10))
    assert [len(training_part(task, plan.config, 0)) for task in plan.tasks] == 5 * [10]
    with pytest.raises(SettingError, match=r"^--shots 900 needs 450 .*\(experience wikidata-1\)$"):
        prepare(toy_config(chosen, tiny_encoder_folder, tmp_path, "knn_fixed", stream, shots=900))


def test_a_share_of_noise_is_checked():
    with pytest.raises(SettingError) as raised:
        RunConfig("knn_fixed", "noisy_labels", label_noise=30)
    assert str(raised.value) == "--label-noise 30 is out of range; expected a share of 0 to 1"


# -- a file of one's own, and orders, by the command line --


def contsym(*words):
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.stdout


def options(toy, encoder, output):
    words = ["--encoder", str(encoder), "--output", str(output), "--device", "cpu", "--precision", "fp32"]
    return [*words, "--no-audit", "--set", "steps=2", "--mnli", toy["mnli"], "--wikidata", toy["wikidata"]]


MINE = """
summary = "Mine."
[[experience]]
task = "mnli"
[[experience]]
task = "wikidata"
name = "near"
relations = ["borders", "is part of"]
"""


@pytest.mark.usefixtures("untracked")
def test_a_scenario_file_runs_and_its_result_names_it(toy, tiny_encoder_folder, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    words = ["run", "--strategy", "knn_fixed", "--scenario", str(path), "--json", "--no-curve"]
    words += ["--protocol", "sequential"]
    printed = json.loads(contsym(*words, *options(toy, tiny_encoder_folder, tmp_path)))
    assert (printed["scenario"], printed["tasks"]) == ("mine", ["mnli", "near"])
    assert [each["training_steps"] for each in printed["seeds"][0]["cost"]["experiences"]] == [2, 2]
    stored = stored_results(tmp_path)[0]
    assert stored.scenario_file == str(path)
    assert stored.experiences[1] == {
        "task": "wikidata", "name": "near", "relations": ["borders", "is part of"],
    }  # fmt: skip
    assert stored.sources["near"].task == "wikidata"
    assert stored.sources["mnli"].task == "mnli"


@pytest.mark.usefixtures("untracked")
def test_every_order_is_a_separate_run(toy, tiny_encoder_folder, tmp_path):
    words = ["run", "--strategy", "knn_fixed", "--scenario", "order", "--json", "--no-curve"]
    words += ["--seeds", "0,1"]
    printed = json.loads(contsym(*words, "--shots", "8", *options(toy, tiny_encoder_folder, tmp_path)))
    assert [each["scenario"] for each in printed["orders"]] == ["order:mnli,wikidata", "order:wikidata,mnli"]
    assert [each["tasks"] for each in printed["orders"]] == [["mnli", "wikidata"], ["wikidata", "mnli"]]
    (run,) = stored_runs(tmp_path)
    assert len(run.scenarios) == 2 and run.n_done == len(run.cells) == 4
    macro = printed["over_orders"]["accuracy, mean"]
    own = [each["mean"]["final_macro"] for each in printed["orders"]]
    assert list(macro["by_order"].values()) == own
    assert (macro["min"], macro["max"], macro["n_orders"]) == (min(own), max(own), 2)


def fake(order, macro, forgot):
    first, last = order
    figures = {
        "scenario": f"order:{first},{last}", "strategy": "knn_fixed", "encoder": "minilm", "seed": 0, "run": "r",
        "tasks": [first, last], "matrix": [[0.0, 0.0]] * 3, "final": {first: macro, last: macro},
        "final_macro": macro, "final_micro": macro, "forgetting": {first: forgot},
        "learned": {first: True, last: True}, "above_shortcuts": {first: None, last: None}, "by_kind": {}, "shortcuts": {},
        "figures": {"bwt": 0.1, "fwt": 0.0}, "seconds": 1.0,
        "answers": dict.fromkeys(order, make_result().answers["mnli"]),
        "sources": dict.fromkeys(order, make_result().sources["mnli"]),
    }  # fmt: skip
    return make_result().model_copy(update=figures)


def test_the_spread_over_orders_by_hand():
    groups = by_order([fake(("a", "b"), 0.5, 0.2), fake(("b", "a"), 0.7, 0.1)])
    found = over_orders(groups)
    assert list(groups) == ["a,b", "b,a"]
    macro = found["accuracy, mean"]
    # Mean 0.6; two values 0.2 apart have sd 0.2 / sqrt(2).
    assert macro["mean"] == pytest.approx(0.6)
    assert macro["sd"] == pytest.approx(0.2 / 2**0.5)
    assert found["forgetting, a"] == {
        "by_order": {"a,b": 0.2, "b,a": None}, "n_orders": 1, "mean": 0.2, "sd": None, "min": 0.2, "max": 0.2,
    }  # fmt: skip
    assert found["forgetting, b"]["by_order"] == {"a,b": None, "b,a": 0.1}
    text = shown(orders_table(groups, found))
    assert "1: a,b" in text
    assert "0.141" in text
    assert "…" not in text


@pytest.mark.slow
@pytest.mark.usefixtures("no_workers", "untracked")
def test_a_sweep_has_a_cell_for_each_order(toy, tiny_encoder_folder, tmp_path):
    words = ["sweep", "--strategies", "knn_fixed,fine_tune", "--scenario", "order"]
    words += ["--shots", "8", "--seeds", "1"]
    common = options(toy, tiny_encoder_folder, tmp_path)
    printed = json.loads(contsym(*words, "--json", *common))
    assert [cell["state"] for cell in printed["cells"]] == 4 * ["done"]
    assert [cell["scenario"] for cell in printed["cells"]] == 2 * [
        "order:mnli,wikidata",
        "order:wikidata,mnli",
    ]
    # Titles are broken into lines where a table is narrow.
    text = " ".join(contsym(*words, *common).split())
    for title in (
        "Accuracy, wikidata (mnli,wikidata)",
        "Forgetting, wikidata (wikidata,mnli)",
        "Accuracy, mean over tasks: mean ± sd over orders (min to max)",
    ):
        assert title in text
    sweep = printed["sweep"]
    with pytest.raises(ContsymError) as raised:
        collect(tmp_path, [])
    assert str(raised.value) == (
        f"{printed['name']}: a report is of one order of order; expected {sweep}:mnli,wikidata or {sweep}:wikidata,mnli"
    )
    assert collect(tmp_path, [f"{sweep}:wikidata,mnli"]).tasks == ["wikidata", "mnli"]
    with pytest.raises(ContsymError) as raised:
        find_row("knn_fixed@8", tmp_path)
    assert str(raised.value) == (
        f"'knn_fixed@8': the sweep {sweep} has every order; expected 'knn_fixed@8:mnli,wikidata' or "
        "'knn_fixed@8:wikidata,mnli'"
    )
    runs = {name: find_row(f"{name}@8:wikidata,mnli", tmp_path) for name in ("knn_fixed", "fine_tune")}
    assert [each.task for each in compare_runs(runs)] == ["wikidata", "mnli"]


@pytest.mark.slow
@pytest.mark.usefixtures("no_workers", "untracked", "no_figures")
def test_a_long_stream_is_shown_experience_by_experience_in_a_sweep_and_a_report(
    tiny_encoder_folder, tmp_path
):
    # From six experiences on, they are too many for a table each; the twenty of long_stream are shown alike.
    path = tmp_path / "six.toml"
    path.write_text('summary = "S."\n[[experience]]\ntask = "wikidata"\nparts = 6\nby = "pair"\n')
    toy = {"mnli": "", "wikidata": "bundled"}
    common = options(toy, tiny_encoder_folder, tmp_path)
    del common[common.index("--mnli") : common.index("--mnli") + 2]
    words = ["sweep", "--strategies", "knn_fixed", "--scenario", str(path)]
    words += ["--shots", "2", "--seeds", "1"]
    # Titles are broken into lines where a table is narrow.
    text = " ".join(contsym(*words, *common).split())
    assert "Accuracy, wikidata-6" in text
    assert "Forgetting, mean over the 5 earlier experiences" in text
    assert collect(tmp_path, []).new_task == "wikidata-6"
    contsym("report", "--output", str(tmp_path))
