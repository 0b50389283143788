"""benchmarks/speed.py, growth.py and evidence.py: the arithmetic by hand, and every measure at toy sizes.

Over 400 lines: one group of tests for each of the three.
"""

import importlib
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"

needs_bench = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("sentence_transformers", "setfit")),
    reason="the libraries that contsym is compared with are an extra: pip install -e '.[bench]'",
)


DOCS = Path(__file__).parents[1] / "docs"
MEASURED = [path for path in sorted(DOCS.glob("*.md")) if "<!-- evidence:" in path.read_text("utf-8")]


@pytest.fixture(autouse=True)
def _benchmarks_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True)


def speed(*arguments: str) -> subprocess.CompletedProcess[str]:
    return ran(BENCHMARKS / "speed.py", *arguments)


def comparison(ours, theirs, **changes):
    from speed.ratios import Comparison

    given = {"measure": "m", "name": "n", "agrees": True, "agreement": "", **changes}
    return Comparison(ours=ours, theirs=theirs, **given)


# -- The sentences of SIS --


def test_the_label_of_a_sentence_is_the_side_of_its_mean_vote():
    from sis_pairs import lines

    row = {
        "id": "b",
        "premise": "A met B.",
        "hypothesis": "B met A.",
        "relation": "meet",
        "kind": "predicate called x",
    }
    text = "".join(
        json.dumps({**row, **more}) + "\n" for more in ({"score": 2.99}, {"id": "a", "score": 3.0})
    )
    made = [json.loads(line) for line in lines(text).splitlines()]
    assert [(each["id"], each["label"]) for each in made] == [("a", "contradiction"), ("b", "entailment")]
    assert {each["group"] for each in made} == {"verb called x"}


def test_the_bundled_sentences_have_the_labels_of_their_votes():
    path = BENCHMARKS.parent / "contsym" / "data" / "bundled" / "sis" / "test.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert len(rows) == len({row["id"] for row in rows}) == 400
    assert all((row["label"] == "entailment") == (row["score"] < 3) for row in rows)


def test_a_voter_is_compared_with_the_others():
    from sis_ceiling import ceilings

    # Votes 1, 2 and 3, mean 2: a 1 beside 2.5 and a 2 beside 2 agree, a 3 beside 1.5 does not.
    assert ceilings([(1, 1, 1, 0, 0)]) == (2 / 3, 2 / 3)
    # Votes 1, 3 and 5, mean 3: the 1 beside 4 does not agree, the 3 beside 3 does, the 5 beside 2 does not.
    assert ceilings([(1, 0, 1, 0, 1)]) == (1 / 3, 2 / 3)


# -- The arithmetic --


def test_the_ratio_is_the_median_of_the_rounds_not_of_the_sums():
    # 4, 1 and 3 by round; the sums would give 16 / 9.
    found = comparison([1.0, 6.0, 2.0], [4.0, 6.0, 6.0])
    assert found.ratios == [4.0, 1.0, 3.0]
    assert found.ratio == 3.0
    written = found.as_dict()
    assert (written["ratio_min"], written["ratio_max"], written["key"]) == (1.0, 4.0, "m: n")


@pytest.mark.parametrize(("found", "is_fallen"), [(4.0, False), (3.99, True), (6.0, False)])
def test_a_ratio_falls_when_it_loses_more_than_a_fifth_of_itself(found, is_fallen):
    from speed.ratios import fallen

    down = fallen([comparison([1.0], [found])], {"m: n": 5.0, "m: other": 9.0})
    assert down == ({"m: n": (5.0, found)} if is_fallen else {})


@pytest.mark.parametrize(("found", "is_worse"), [(1.25, False), (1.26, True), (0.5, False)])
def test_a_figure_that_shall_be_small_is_worse_when_it_has_grown(found, is_worse):
    from speed.ratios import fallen

    down = fallen([comparison([found], [], at_most=True)], {"m: n": 1.0})
    assert down == ({"m: n": (1.0, found)} if is_worse else {})


def test_the_table_has_the_median_and_the_range_and_says_what_is_missed():
    from speed.table import ROWS, table

    memory = comparison([1.0, 1.5, 1.75], [], measure="default_run", name="peak memory, GB", at_most=True)
    batch = comparison([2.0], [3.0], measure="first_batch")
    lines = table([memory, batch]).splitlines()
    assert len(lines) == len(ROWS) + 2
    assert "| peak memory of the default run |  | 1.5 GB (1 to 1.75): missed | at most 1.2 GB |" in lines
    assert "| `contsym run` to its first batch | `import avalanche` | 1.5 (1.5 to 1.5) | 1 |" in lines
    assert sum("not measured" in line for line in lines) == len(ROWS) - 2


def test_what_a_file_has_of_other_measures_stays_and_goes_into_a_page(tmp_path):
    spec = importlib.util.spec_from_file_location("speed_command", BENCHMARKS / "speed.py")
    speed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(speed)
    kept, page = tmp_path / "ratios.json", tmp_path / "page.md"
    batch = comparison([2.0], [3.0], measure="first_batch", date="2026-01-02")
    kept.write_text(json.dumps(speed.record([batch], speed.Options())))
    (other,) = speed.read_others(kept, speed.Options())
    assert (other.measure, other.ratio, other.date) == ("first_batch", 1.5, "2026-01-02")
    for changes, what in (({"wikidata": "elsewhere"}, "wikidata"), ({"smoke": True}, "smoke")):
        with pytest.raises(speed.SettingError, match=f"of other {what} .*; name another file"):
            speed.read_others(kept, speed.Options(**changes))
    page.write_text("before\n<!-- speed -->\nold\n<!-- /speed -->\nafter\n")
    speed.fill(page, kept)
    row = "| `contsym run` to its first batch | `import avalanche` | 1.5 (1.5 to 1.5) | 1 |"
    before, there, after = page.read_text().partition(row)
    assert before.startswith("before\n<!-- speed -->\n| what") and there
    assert ", 2026-01-02; `" in after and after.endswith("`.\n<!-- /speed -->\nafter\n")
    page.write_text("no mark")
    with pytest.raises(speed.SettingError, match="no place for the table"):
        speed.fill(page, kept)
    kept.write_text("{}")
    with pytest.raises(speed.SettingError, match="no file of figures"):
        speed.fill(page, kept)


def test_large_data_repeat_pairs_under_other_names():
    from speed.large import other

    row = {"id": "1", "premise": "A meets B", "hypothesis": "B meets A", "subject": "A", "object": "B"}
    assert other(row, 0) == row
    assert other(row, 2)["hypothesis"] == "B 2 meets A 2"
    bare = {**row, "subject": "", "object": ""}
    assert other(bare, 2)["premise"] == "A meets B (2)"


def test_rounds_take_turns_in_who_comes_first_and_the_warm_up_is_not_counted():
    from speed.ratios import interleaved

    calls = []

    def way(name):
        def call():
            calls.append(name)
            return float(len(calls)), name.upper()

        return call

    seconds, results = interleaved({name: way(name) for name in "ab"}, 2)
    assert "".join(calls) == "ba" + "ab" + "ba"
    assert seconds == {"a": [3.0, 6.0], "b": [4.0, 5.0]}
    assert results == {"a": "A", "b": "B"}


def test_clocked_gives_what_the_work_gave():
    from speed.ratios import clocked

    took, result = clocked(lambda: time.sleep(0.01) or 7)()
    assert 0.01 <= took < 5
    assert result == 7


def test_recall_counts_distances_and_lets_equal_ones_pass():
    import numpy as np

    queries = importlib.import_module("speed.queries")
    exact = np.array([[0.1, 0.2, 0.2], [0.0, 0.5, 0.6]])
    # The second query missed its nearest two and found one farther away; 0.2 for 0.2 is as good.
    found = np.array([[0.1, 0.2, 0.2], [0.6, 0.7, 0.8]])
    assert queries.recall_of(found, exact) == pytest.approx(4 / 6)
    assert queries.recall_of(exact, exact) == 1


def test_top_k_in_parts_is_sorting_all_similarities():
    import torch

    queries = importlib.import_module("speed.queries")
    stored, asked = queries.clustered(60, 8, seed=1).split([50, 10])
    slow = (1 - asked @ stored.T).sort(dim=1).values[:, : queries.K]
    torch.testing.assert_close(queries.top_k(stored, asked, part=3), slow)
    assert torch.equal(queries.clustered(60, 8, seed=1)[:50], stored)
    torch.testing.assert_close(stored.norm(dim=1), torch.ones(50))


def test_accuracies_agree_by_row_and_task():
    from speed.first_answer import agreement_of

    ours = before, after, probe = [[0.73, 0.75], [0.60, 0.99], [0.70, 0.68]]
    assert agreement_of(ours, ours)[0]
    # What was forgotten may differ by more than what was learned.
    assert agreement_of(ours, [before, [0.68, 0.97], probe])[0]
    assert not agreement_of(ours, [before, [0.60, 0.95], probe])[0]
    assert not agreement_of(ours, [[0.73, 0.77], after, probe])[0]
    assert not agreement_of(ours, [before, after, [0.70, 0.60]])[0]


def test_best_threshold_separates_and_of_equal_ones_is_the_least():
    import numpy as np
    from speed.until_099 import best_threshold

    cosines = np.array([0.9, 0.2, 0.8, 0.4])
    assert best_threshold(cosines, np.array([True, False, True, False])) == 0.8
    assert best_threshold(cosines, np.array([True, True, True, True])) == 0.2


def test_operations_of_a_pass_by_hand():
    from types import SimpleNamespace

    from speed.gpu import N_TOKENS, forward_flops

    # 3 layers, d = 2, f = 5: 16 + 20 weights, 2 operations each, and 4 * 64 * 2 for the attention.
    config = SimpleNamespace(hidden_size=2, intermediate_size=5, num_hidden_layers=3)
    assert N_TOKENS == 64
    assert forward_flops(config, batch=7) == 7 * 64 * 3 * (2 * 36 + 512)


def test_slope_of_a_power_is_its_exponent():
    growth = importlib.import_module("growth")
    sizes = (10, 100, 1000)
    assert growth.slope(sizes, [size**1.5 for size in sizes]) == pytest.approx(1.5)
    assert growth.slope(sizes, [3.0, 3.0, 3.0]) == pytest.approx(0)
    # Too little to measure is no point of the line.
    assert growth.slope(sizes, [0, 20, 200]) == pytest.approx(1)
    assert growth.slope(sizes, [0, 0, 200]) is None


def test_pairs_of_growth_repeat_no_text_and_deal_both_labels_evenly(tmp_path):
    growth = importlib.import_module("growth")
    growth.write_pairs(tmp_path / "pairs", 200, 40)
    texts = [(tmp_path / "pairs" / f"{part}.jsonl").read_text() for part in ("train", "test")]
    rows = [json.loads(line) for text in texts for line in text.splitlines()]
    assert len(rows) == 240
    assert len({row[role] for row in rows for role in ("premise", "hypothesis")}) == 480
    assert sum(row["label"] == "entailment" for row in rows) == 120


# -- Mistakes --


def test_an_unknown_measure_is_a_line_and_exit_code_2():
    done = speed("--only", "encode,querys")
    assert done.returncode == 2
    assert done.stderr == "error: --only querys: no such measure; did you mean queries?\n"


def test_no_rounds_is_a_line_and_exit_code_2():
    done = speed("--repeats", "0")
    assert done.returncode == 2
    assert done.stderr == "error: --repeats 0: expected at least 1 round\n"


@pytest.mark.parametrize("content", [None, "{}", "no json"])
def test_a_file_of_ratios_that_is_none_is_named_before_anything_is_measured(tmp_path, content):
    path = tmp_path / "ratios.json"
    why = "no file of ratios"
    if content is None:
        why = "No such file or directory"
    else:
        path.write_text(content)
    done = speed("--check", path)
    assert done.returncode == 2
    assert done.stderr == f"error: --check {path}: {why}; write one with --json {path}\n"


def test_ratios_of_toy_sizes_are_not_checked_against_full_ones(tmp_path):
    path = tmp_path / "ratios.json"
    path.write_text(json.dumps({"smoke": True, "options": {"device": "cpu"}, "comparisons": []}))
    done = speed("--check", path)
    assert done.returncode == 2
    assert "its ratios are of --smoke on cpu; ask for the same" in done.stderr


# -- Every measure, at toy sizes --


@pytest.mark.night
def test_each_measure_without_extras_runs_and_its_results_agree(tmp_path):
    names = ("startup", "queries", "step", "sweep", "paper_table")
    names += ("planning", "second_start", "first_batch", "default_run")
    done = speed("--smoke", "--only", ",".join(names), "--json", tmp_path / "found.json")
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "found.json").read_text())
    found = written["comparisons"]
    assert written["smoke"]
    assert {each["measure"] for each in found} == set(names)
    assert all(each["agrees"] and each["ratio"] > 0 for each in found)
    assert all(each["key"] in done.stdout for each in found)


@pytest.mark.slow
def test_a_ratio_that_falls_twice_fails_and_only_its_measure_is_taken_again(tmp_path):
    from speed.ratios import Options

    key = f"queries: 2,000 x 16, {Options().memory_index} / torch"
    kept = {"smoke": True, "options": {"device": "cpu"}, "comparisons": [{"key": key, "ratio": 1e9}]}
    path = tmp_path / "ratios.json"
    path.write_text(json.dumps(kept))
    done = speed("--smoke", "--only", "queries", "--check", path)
    assert done.returncode == 1, done.stderr
    assert f"fallen on the first try: {key}; measuring again: queries" in done.stdout
    assert f"FALLEN: {key}: 1000000000.00x before" in done.stdout
    assert done.stderr.count("measuring queries") == 2
    kept["comparisons"][0]["ratio"] = 1e-9
    path.write_text(json.dumps(kept))
    done = speed("--smoke", "--only", "queries", "--check", path)
    assert done.returncode == 0, done.stderr
    assert "none of 1 ratios has fallen" in done.stdout


def compared_with_others(tmp_path, *names):
    """The comparisons of these measures with other libraries, all of which agree."""
    done = speed("--smoke", "--only", ",".join(names), "--json", tmp_path / "found.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())["comparisons"]
    assert {each["measure"] for each in found} == {*names}
    assert all(each["agrees"] for each in found)
    return found


@pytest.mark.night
@needs_bench
def test_other_measures_with_extras_run_and_their_results_agree(tmp_path):
    compared_with_others(tmp_path, "encode", "until_099", "gpu")


@pytest.mark.slow
@needs_bench
def test_a_plain_script_gives_the_same_accuracies(tmp_path):
    found = compared_with_others(tmp_path, "first_answer")
    # The same weights and texts, before any batch was drawn: the plain script is an independent twin.
    (run,) = (each["facts"] for each in found if each["measure"] == "first_answer")
    ours, plain = run["before, after and probe, contsym"], run["before, after and probe, plain script"]
    assert ours[0] == plain[0]
    assert [len(row) for row in plain] == [2, 2, 2]


@pytest.mark.night
def test_growth_is_measured_written_and_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    out, picture = tmp_path / "growth.json", tmp_path / "growth.svg"
    done = ran(BENCHMARKS / "growth.py", "--smoke", "--only", "pairs", "--json", out, "--picture", picture)
    assert done.returncode == 0, done.stderr
    curves = json.loads(out.read_text())["curves"]
    assert [curve["cost"] for curve in curves] == ["load, s", "encode, s", "peak, bytes"]
    assert all(curve["sizes"] == [50, 100] for curve in curves)
    assert picture.read_text().lstrip().startswith("<?xml")


@pytest.mark.slow
def test_growth_in_memory_and_experiences_has_points():
    growth = importlib.import_module("growth")
    cost = growth.POINTS["memory"](100, growth.EXACT, is_small=True)
    # 100 vectors of 384 float32 numbers and an int64 label each.
    assert cost["stored, bytes"] == 100 * (384 * 4 + 8)
    assert growth.POINTS["experiences"](2, "fine_tune", is_small=True)["run, s"] > 0


# -- The evidence --


def test_every_step_of_the_evidence_names_what_is_there():
    from evidence import BLOCK, ROOT, STEPS

    words = [word for step in STEPS for command in step.commands for word in command.split()]
    files = [word for word in words if word.startswith(("sweeps/", "benchmarks/"))]
    assert files and all((ROOT / file).is_file() for file in files)
    sweeps = {str(path.relative_to(ROOT)) for path in (ROOT / "sweeps").rglob("*.toml")}
    assert sweeps - set(files) == {
        "sweeps/other-domains/scenario.toml",
        "sweeps/other-domains/scenario-with-predicates.toml",
        "sweeps/own-tasks/scenario-mnli-then-rte.toml",
    }, "only scenarios are run by no step"
    for path in MEASURED:
        page = path.read_text("utf-8")
        blocks = BLOCK.findall(page)
        assert len(blocks) == page.count("<!-- evidence:") == page.count("<!-- /evidence -->") > 0
        assert {step for _, step, *_ in blocks} <= {step.name for step in STEPS}


def test_a_finished_command_of_the_evidence_is_not_run_again(tmp_path, monkeypatch):
    import evidence

    done, code = [], {"b": 1}

    def ran(words, **_):
        done.append(words[1])
        return subprocess.CompletedProcess(words, code.get(words[1], 0))

    monkeypatch.setattr(evidence, "subprocess", type("S", (), {"run": ran, "STDOUT": -2}))
    monkeypatch.setattr(evidence, "git_commit", lambda: "c0ffee")
    step = evidence.Step("s", "toy", ("python a", "python b", "python c"))
    with pytest.raises(SystemExit, match="s ended with 1; "):
        evidence.run(step, tmp_path, 1)
    code.clear()
    for _ in range(2):
        evidence.run(step, tmp_path, 1)
    assert done == ["a", "b", "b", "c"]
    assert evidence.read_steps(tmp_path)["s"]["commit"] == "c0ffee"


def test_a_page_gets_the_rows_of_its_tables(tmp_path):
    import evidence

    tables = tmp_path / "audit" / "report" / "tables"
    tables.mkdir(parents=True)
    (tables / "verdicts.md").write_text("**Title**\n\n| a |\n|---|\n| 1 |\n\nA note.\n", "utf-8")
    page = tmp_path / "page.md"
    block = "<!-- evidence: audit {} -->\n{}<!-- /evidence -->\n"
    page.write_text("x\n" + block.format("verdicts", "old\n") + block.format("rules", "| kept |\n"), "utf-8")
    assert evidence.fill(page, tmp_path) == ["audit rules"]
    assert page.read_text("utf-8") == (
        "x\n" + block.format("verdicts", "| a |\n|---|\n| 1 |\n") + block.format("rules", "| kept |\n")
    )


def toy_results(folder: Path) -> None:
    # The last is in no cell of the sweep.
    for key, day in (("b", "2026-01-02"), ("a", "2026-01-01"), ("c", "2026-01-09")):
        (folder / "results" / key).mkdir(parents=True)
        facts = {"started_at": f"{day}T00:00", "processor": "P", "precision": "bf16", "threads": 1}
        (folder / "results" / key / "result.json").write_text(json.dumps(facts | {"git_commit": "c0ffee123"}))
        (folder / "results" / key / "label_vectors.safetensors").write_bytes(b"large")
    (folder / "results" / ".partial").mkdir()
    (folder / "results" / ".partial" / "result.json").write_text("{")
    (folder / "runs" / "r").mkdir(parents=True)
    cells = {"cells": [{"key": "a"}, {"key": "b"}]}
    (folder / "runs" / "r" / "run.json").write_text(json.dumps(cells))


def test_kept_results_come_back_and_only_their_report_is_made_again(tmp_path, monkeypatch):
    import evidence

    monkeypatch.setattr(evidence, "KEPT", tmp_path / "kept")
    step = evidence.Step("s", "toy", ("contsym sweep --to {to}", "contsym report --output {to}"))
    here, there = tmp_path / "here", tmp_path / "there"
    toy_results(here / "s")
    evidence.write_steps(here, {"s": {"seconds": 1.0, "done": list(step.commands)}})
    evidence.keep([step], here)
    first = (tmp_path / "kept" / "s.tar.xz").read_bytes()
    evidence.keep([step], here)
    assert (tmp_path / "kept" / "s.tar.xz").read_bytes() == first, "git would see a change"
    there.mkdir()
    evidence.put_back([step], there)
    files = sorted(str(path.relative_to(there)) for path in there.rglob("*") if path.is_file())
    assert files == [
        "s/results/a/result.json",
        "s/results/b/result.json",
        "s/results/c/result.json",
        "s/runs/r/run.json",
        "steps.json",
    ]
    assert evidence.read_steps(there)["s"]["done"] == ["contsym sweep --to {to}"]
    page = tmp_path / "page.md"
    page.write_text("<!-- evidence: s machine -->\n<!-- /evidence -->\n")
    assert evidence.fill(page, there) == []
    assert page.read_text("utf-8").split("\n")[1] == (
        "2 results, 2026-01-01 to 2026-01-02: P; bf16, threads per cell: 1; commit c0ffee1."
    )


def test_an_archive_with_more_than_plain_files_is_refused(tmp_path):
    import tarfile

    from evidence_archive import unpack

    with tarfile.open(tmp_path / "a.tar.xz", "w:xz") as tar:
        entry = tarfile.TarInfo("results")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(entry)
    with pytest.raises(SystemExit, match="results is not a plain file"):
        unpack(tmp_path / "a.tar.xz", tmp_path / "to")


@pytest.mark.night
@pytest.mark.parametrize("page", MEASURED, ids=lambda page: page.stem)
def test_the_page_shows_what_the_kept_results_give(page, tmp_path):
    """Every table of a page, made again from benchmarks/evidence/ without any training."""
    import evidence

    given = ["--to", str(tmp_path)]
    evidence.main([*given, "--unpack"])
    steps = {step for _, step, *_ in evidence.BLOCK.findall(page.read_text("utf-8"))}
    for step in steps:
        report = ("report", "--output", tmp_path / step, "--to", tmp_path / step / "report")
        done = ran("-m", "contsym", *report)
        assert done.returncode == 0, done.stderr
    copy = tmp_path / "page.md"
    copy.write_text(page.read_text("utf-8"), "utf-8")
    assert evidence.fill(copy, tmp_path) == []
    assert copy.read_text("utf-8") == page.read_text("utf-8")
