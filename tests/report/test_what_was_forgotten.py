"""The verdicts of the audit of training, and forgetting by skill, as a report shows them."""

from contsym.report.collect import collect
from contsym.report.measures import Measures
from contsym.report.render import make_report
from contsym.report.tables.what_was_forgotten import parts_table, rules_table, verdict_table
from contsym.results import store
from contsym.results.training_audit import Answers, TrainingAudit, write_audit
from tests.stored_results import seed_folder, store_run

N = 40


def audit(result, after):
    labels = [0, 2] * (N // 2)
    rule = Answers(labels=[0] * N, before=[0] * N, after=after, twin=[2] * N, known=1.0)
    task = Answers(labels=labels, before=[0] * N, after=labels, twin=[0] * N, known=0.5)
    return TrainingAudit(
        format=1, key=result.key, strategy=result.strategy, seed=result.seed, labels=list(result.labels), new_task="wikidata",
        task=task, task_shift=[0.0] * 3, rules={"negation: denied": rule}, rules_shift=[0.0] * 3, sources={"bundled": "0"},
    )  # fmt: skip


def test_verdicts_stand_in_the_report(tmp_path):
    run = store_run(tmp_path, "a", [0, 1])
    without = make_report(collect(tmp_path, ["a"]), 0.9)
    assert "audit" not in {section.id for section in without.sections}
    assert any("No model of these results was audited" in text for _, text in without.sections[-1].paragraphs)
    for seed in (0, 1):
        folder = seed_folder(run, seed)
        write_audit(folder, audit(store.read_result(folder), [2] * N))
    measures = Measures(collect(tmp_path, ["a"]), 0.9)
    ((_, _, verdict, seeds, why),) = verdict_table(measures).rows
    assert (verdict.text, verdict.strong, seeds.text) == ("label bias", True, "2")
    assert why.text.startswith(
        "1 of the 1 rules that the encoder knew before are answered worse (1 by a label bias)"
    )
    task, rule = rules_table(measures).rows
    assert [cell.text for cell in task[:1]] + [task[-1].text] == ["wikidata", "learned"]
    assert rule[0].text == "negation: denied"
    assert rule[6].text == "-1.000 [-1.000, -1.000]"
    assert rule[-1].text == "label bias"
    (section,) = (each for each in make_report(measures.collected, 0.9).sections if each.id == "audit")
    assert [table.name for table, _ in section.tables] == ["verdicts", "rules"]


def test_forgetting_of_a_skill_is_own_accuracy_minus_final(tmp_path):
    def skills(*rows):
        return {
            "mnli": [
                {"negation": {"accuracy": a, "n": 10}, "causal": {"accuracy": b, "n": 30}} for a, b in rows
            ]
        }

    store_run(tmp_path, "a", [0], by_skill=skills((0.3, 0.3), (0.9, 0.8), (0.5, 0.8)))
    measures = Measures(collect(tmp_path, ["a"]), 0.9)
    rows = parts_table(measures, "mnli").rows
    assert [[cell.text for cell in row] for row in rows] == [
        ["causal", "30", "+0.000"],
        ["negation", "10", "+0.400"],
    ]
