"""What an audit of training stores for each seed, and the verdicts over seeds: a rule learned, or a label bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from contsym import checked
from contsym.checked import Count, Figure, Key, Share, Words, Written, expect
from contsym.errors import ContsymError
from contsym.files import to_json, write_file
from contsym.results.metrics.bias import kappa
from contsym.results.metrics.stats import PairedDifference, holm, mcnemar, paired_bootstrap, paired_t

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT: Final = 1
AUDIT = "audit.json"
"""Beside a result: what contsym audit found of its model."""
MASTERED = 0.95
"""Accuracy on validation pairs from which a rule counts as known before the run."""
MARGIN = 0.05
"""A loss that the interval excludes is no loss of the rule."""
ALPHA = 0.05

Verdict = Literal["learned", "label bias", "undecided", "unchanged"]
RuleVerdict = Literal["kept", "unchanged", "label bias", "lost", "undecided", "not known before"]


class Answers(Written):
    """The answers to the test pairs of a rule or of the new task, as class numbers."""

    labels: Annotated[list[Count], Field(min_length=1)]
    before: list[Count]
    """Of the model before the run's later tasks."""
    after: list[Count]
    twin: list[Count]
    """Of the model before with the best shift of its label scores."""
    known: Share
    """Accuracy of the model before on validation pairs."""

    @model_validator(mode="after")
    def is_consistent(self) -> Answers:
        n = len(self.labels)
        expect(n == len(self.before) == len(self.after) == len(self.twin), f"{n} answers of each kind")
        return self


class TrainingAudit(Written):
    """One seed."""

    model_config = ConfigDict(title="audit")

    format: Count
    key: Key
    """Of the result."""
    strategy: Words
    seed: Count
    labels: list[Words]
    new_task: Words
    task: Answers
    task_shift: list[Figure]
    """Added to the scores of the model before; fitted on the new task's validation pairs."""
    rules: dict[Words, Answers]
    rules_shift: list[Figure]
    """Fitted on the validation pairs of all rules together."""
    sources: dict[Words, Words]
    """SHA-256 of each source of rules."""


def write_audit(folder: Path, audit: TrainingAudit) -> None:
    """Store the audit of a result's model beside the result. Raises ContsymError if it cannot be written."""
    try:
        write_file(folder / AUDIT, to_json(audit.model_dump(mode="json")))
    except OSError as error:
        raise ContsymError(f"{folder / AUDIT}: cannot be written ({error.strerror or error})") from None


def read_audit(folder: Path) -> TrainingAudit | None:
    """The audit beside a result; None where there is none. Raises ContsymError unless contsym wrote the file."""
    path = folder / AUDIT
    if not path.is_file():
        return None
    content = checked.read_json(path, "expected what contsym audit wrote")
    checked.check_format(content, FORMAT, path)
    return checked.check(TrainingAudit, content, path)


@dataclass(frozen=True)
class Judged:
    """A rule or the new task over all seeds."""

    name: str
    n: int
    """Test pairs."""
    before: float
    after: float
    twin: float
    """Accuracies, the mean over seeds."""
    change: PairedDifference
    """Of a rule after minus before, of the new task after minus twin."""
    p: float
    """The largest of the bootstrap's, McNemar's and the paired t test's over seeds; of rules corrected after Holm."""
    kappa: float
    """Agreement of the answers with the twin's beyond chance, the mean over seeds."""
    explained: float | None
    """Share of the changed answers that the twin gives too; None where none changed."""
    verdict: str


@dataclass(frozen=True)
class Audited:
    """What the audits of a method's seeds say together."""

    strategy: str
    seeds: tuple[int, ...]
    task: Judged
    rules: tuple[Judged, ...]
    verdict: Verdict

    @property
    def known(self) -> list[Judged]:
        """The rules that the encoder knew before."""
        return [rule for rule in self.rules if rule.verdict != "not known before"]


def judge(audits: Sequence[TrainingAudit]) -> Audited:
    """The verdict over the seeds of one method, which must have been asked the same pairs.

    A rule that the model before answered with 95% on validation in every seed was known. It is kept if the interval of
    its change lies above -5 points, and was hit by a label bias if it is answered significantly worse, more than half of the
    changed answers are those of the twin, and the answers agree with the twin more than with the model before. The new
    task is learned if its answers are significantly better than the twin's; if they are not, and agree with the twin
    (kappa of 0.8 and more), the method has learned a label bias.

    Together: "learned" if the task is learned and no known rule was lost or hit; "label bias" if that is the task's, or of
    half of the known rules and more; "unchanged" if no answer differs; otherwise "undecided".

    Raises ContsymError where the audits are not of the same pairs.
    """
    first = audits[0]
    for audit in audits[1:]:
        asked = [
            (audit.task, first.task),
            *((audit.rules[n], first.rules[n]) for n in {*audit.rules} & {*first.rules}),
        ]
        if any(one.labels != other.labels for one, other in asked):
            raise ContsymError(
                f"the audits of {first.key} and {audit.key} are of different pairs; contsym audit RUN asks all seeds the same"
            )
    task = _task([audit.task for audit in audits], first.new_task)
    names = [name for name in first.rules if all(name in audit.rules for audit in audits)]
    found = {name: [audit.rules[name] for audit in audits] for name in names}
    known = [name for name in names if all(each.known >= MASTERED for each in found[name])]
    tests = {name: _tested(found[name], "before") for name in names}
    corrected = dict(zip(known, holm([tests[name].p for name in known]), strict=True))
    rules = tuple(
        _judged(name, found[name], tests[name], corrected.get(name, tests[name].p), name in known)
        for name in names
    )
    return Audited(first.strategy, tuple(audit.seed for audit in audits), task, rules, _overall(task, rules))


def _overall(task: Judged, rules: Sequence[Judged]) -> Verdict:
    known = [rule.verdict for rule in rules if rule.verdict != "not known before"]
    if task.verdict == "unchanged" and set(known) <= {"unchanged"}:
        return "unchanged"
    if task.verdict == "label bias" or known.count("label bias") >= max(1, len(known) / 2):
        return "label bias"
    if task.verdict == "learned" and not {"label bias", "lost"} & set(known):
        return "learned"
    return "undecided"


@dataclass(frozen=True)
class _Tested:
    change: PairedDifference
    p: float


def _tested(answers: Sequence[Answers], against: Literal["before", "twin"]) -> _Tested:
    after, other = (_correct(answers, name) for name in ("after", against))
    change = paired_bootstrap(after, other)
    over_seeds = paired_t((after.mean(axis=1) - other.mean(axis=1)).tolist(), after.shape[1])
    return _Tested(change, max(change.p, mcnemar(after, other), over_seeds or 0.0))


def _judged(name: str, answers: Sequence[Answers], tested: _Tested, p: float, is_known: bool) -> Judged:
    before, after, twin = (_all(answers, which) for which in ("before", "after", "twin"))
    explained, agreement = _explained(before, after, twin), _kappa(after, twin)
    verdict: RuleVerdict
    if not is_known:
        verdict = "not known before"
    elif (before == after).all():
        verdict = "unchanged"
    elif p < ALPHA and tested.change.difference < 0:
        is_bias = (explained or 0.0) > 0.5 and agreement > _kappa(after, before)
        verdict = "label bias" if is_bias else "lost"
    else:
        verdict = "kept" if tested.change.low > -MARGIN else "undecided"
    return _figures(name, answers, tested, p, agreement, explained, verdict)


def _task(answers: Sequence[Answers], name: str) -> Judged:
    before, after, twin = (_all(answers, which) for which in ("before", "after", "twin"))
    tested, agreement = _tested(answers, "twin"), _kappa(after, twin)
    verdict: Verdict
    if (before == after).all():
        verdict = "unchanged"
    elif tested.p < ALPHA and tested.change.difference > 0:
        verdict = "learned"
    else:
        verdict = "label bias" if agreement >= 0.8 else "undecided"
    return _figures(name, answers, tested, tested.p, agreement, _explained(before, after, twin), verdict)


def _figures(
    name: str,
    answers: Sequence[Answers],
    tested: _Tested,
    p: float,
    agreement: float,
    explained: float | None,
    verdict: str,
) -> Judged:
    before, after, twin = (float(_correct(answers, each).mean()) for each in ("before", "after", "twin"))
    return Judged(
        name, len(answers[0].labels), before, after, twin, tested.change, p, agreement, explained, verdict
    )


def _all(answers: Sequence[Answers], which: str) -> NDArray[Any]:
    """(seeds, pairs)."""
    import numpy as np

    return np.array([getattr(each, which) for each in answers])


def _correct(answers: Sequence[Answers], which: str) -> NDArray[np.bool_]:
    return _all(answers, which) == _all(answers, "labels")


def _kappa(a: NDArray[Any], b: NDArray[Any]) -> float:
    return sum(map(kappa, a, b)) / len(a)


def _explained(before: NDArray[Any], after: NDArray[Any], twin: NDArray[Any]) -> float | None:
    changed = before != after
    return float((twin == after)[changed].mean()) if changed.any() else None


def sentence(audited: Audited) -> str:
    """The verdict in words, with the figures that decide it."""
    task, known = audited.task, audited.known
    hit = [rule for rule in known if rule.verdict in ("label bias", "lost")]
    unsure = [rule for rule in known if rule.verdict == "undecided"]
    rules = f"the {len(known)} rules that the encoder knew before"
    against = f"{task.after:.3f} on {task.name}; the model before, with its best shift of the labels, has {task.twin:.3f}"
    if audited.verdict == "unchanged":
        return f"unchanged: every answer on {task.name} and on {rules} is that of the model before"
    if task.verdict == "label bias":
        return f"label bias: {against}; kappa between both is {task.kappa:.2f}"
    shown = ", ".join(f"{rule.name} ({rule.before:.2f} to {rule.after:.2f})" for rule in hit)
    kinds = {kind: sum(rule.verdict == kind for rule in hit) for kind in ("label bias", "lost")}
    told = " and ".join(
        f"{n} {words}"
        for words, n in (("by a label bias", kinds["label bias"]), ("otherwise", kinds["lost"]))
        if n
    )
    lost = f"{len(hit)} of {rules} are answered worse ({told}): {shown}"
    if audited.verdict == "label bias":
        return f"label bias: {lost}"
    if audited.verdict == "learned":
        more = f", {len(unsure)} {'is' if len(unsure) == 1 else 'are'} undecided" if unsure else ""
        return f"learned: {against}; none of {rules} is answered worse{more}"
    learned = against if task.verdict == "learned" else f"not above the twin on {task.name} ({against})"
    return f"undecided: {learned}; {lost if hit else f'none of {rules} is answered worse'}"


def as_plain(audited: Audited) -> Mapping[str, Any]:
    """For --json."""

    def plain(judged: Judged) -> dict[str, Any]:
        values = {name: value for name, value in vars(judged).items() if name != "change"}
        return {**values, "change": vars(judged.change)}

    return {
        "strategy": audited.strategy,
        "seeds": list(audited.seeds),
        "verdict": audited.verdict,
        "task": plain(audited.task),
        "rules": [plain(rule) for rule in audited.rules],
    }
