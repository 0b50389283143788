"""What the report claims of forgetting and of examples needed, where a test or a measurement says so."""

from contsym.report import sentences
from contsym.report.collect import collect
from contsym.report.measures import Measures
from tests.stored_results import plain_result, store_run, store_sweep


def test_forgetting_is_told_apart_by_forgetting_and_not_by_the_accuracy_at_the_end(tmp_path, monkeypatch):
    store_sweep(tmp_path, shots=[64], with_view=False)
    whole = Measures(collect(tmp_path, []), 0.99)
    # At the end 0.72 and 0.36 are far apart; what was lost is not.
    for variant, losses in {"random_labels": (0.1, 0.2, 0.3), "fine_tune": (0.3, 0.2, 0.4)}.items():
        for result, lost in zip(whole.collected.group(variant, 64), losses, strict=True):
            monkeypatch.setitem(result.forgetting, "mnli", lost)
    # knn_fixed and knn_learned forgot 0.10 and 0.22 with each seed, which lies between.
    for variant in ("knn_fixed", "knn_learned"):
        for result in whole.collected.group(variant, 64):
            monkeypatch.setitem(result.forgetting, "mnli", 0.25)
    assert "random_labels forgot least" in (said := sentences.forgotten(whole, "mnli"))
    assert "fine_tune most" in said and "by the means, which these 3 seeds do not tell apart" in said


def test_a_pass_that_was_not_measured_counts_no_examples(tmp_path):
    plain = plain_result()
    sources = {name: {**source, "few_shot": False} for name, source in plain["sources"].items()}
    options = {**plain["options"], "one_pass": True}
    store_run(tmp_path, "a", (0, 1), options=options, sources=sources, trajectory=[])
    # 0.95 on test pairs, from the 64 that there are.
    found = Measures(collect(tmp_path, ["a"]), 0.9).efficiency("knn_fixed")
    assert not found.is_counted and found.shots_needed.per_seed == (64, 64)
    store_run(tmp_path, "b", (0, 1), options=options, trajectory=[])
    assert Measures(collect(tmp_path, ["b"]), 0.9).efficiency("knn_fixed").is_counted
