"""The audit of training: what a saved model answers, beside the model before it and that model's constant-bias twin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contsym.data.rules import Rules
from contsym.errors import ContsymError, SettingError
from contsym.results import store
from contsym.results.metrics.bias import label_shift, shifted
from contsym.results.schema import SeedResult
from contsym.results.training_audit import FORMAT, Answers, TrainingAudit
from contsym.tasks.schema import NLI_LABELS
from contsym.training.plan import prepare
from contsym.training.reproduce import check_same_inputs, config_of

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

    from contsym.plugins import Plugins
    from contsym.training.plan import Plan
    from contsym.training.progress import Progress
    from contsym.training.trained import TrainedModel

Score = Callable[["Dataset"], "Tensor"]
Scored = list[tuple["Tensor", "Tensor"]]
"""Of validation and test pairs: of each rule, and last of the new task."""


def check_audit(result: SeedResult, name: str) -> None:
    """Raise SettingError for a result whose encoder can have known no rule of natural language inference before."""
    tasks = result.trained_tasks
    first = result.sources[tasks[0]]
    if (
        len(tasks) < 2
        or tuple(first.labels) != NLI_LABELS
        or first.symmetry
        or result.label_space != "shared"
    ):
        raise SettingError(
            f"{name}: its scenario {result.scenario} does not begin with natural language inference and end with another "
            "task of its labels, so there is no rule to lose; expected one such as mnli_then_wikidata"
        )


def audit_seed(
    folder: Path,
    output: Path,
    rules: Rules,
    progress: Progress,
    named: Plugins,
    device: str,
    starts: dict[tuple[str, ...], Scored],
) -> TrainingAudit:
    """Audit the saved model beside the result in `folder`.

    `starts` has the scores of models that several runs begin at, and gets those of this one. Raises ContsymError where
    there is no model, or where the data, the encoder or a plug-in are not those of the run.
    """
    from contsym.models.encoders.device import deterministic
    from contsym.training.trained import load

    result = store.read_result(folder)
    check_audit(result, str(folder))
    model_folder = folder / store.MODEL
    if not model_folder.is_dir():
        raise ContsymError(
            f"{folder}: no saved model; the same command with --save-model trains it again and stores one"
        )
    progress.phase(f"audit of {result.strategy}, seed {result.seed}", None)
    # With the precision of the run, as the saved model is loaded.
    same = {"audit": False, "curve": False, "precision": result.precision}
    plan = prepare(config_of(result, output=output, device=device, **same))
    check_same_inputs(plan, result)
    new_task = result.new_task
    task = next(each for each in plan.tasks if each.name == new_task)
    model = load(model_folder, device=device, plugins_of=named)
    with deterministic(plan.device):
        parts = [(rule.validation, rule.test) for rule in rules.by_name.values()]
        start, before = _before(plan, result.seed, progress)
        place = (start or result.key, task.fingerprint, *rules.sources.values())
        if place not in starts:
            asked = [*parts, (task.validation, task.test)]
            starts[place] = [(before(validation), before(test)) for validation, test in asked]
        *old, old_task = starts[place]
        after_rules: Score = _known(model) if model.file.known_head else _own(model)
        new = [(after_rules(validation), after_rules(test)) for validation, test in parts]
        new_answers = [_own(model)(part) for part in (task.validation, task.test)]
    old_scores, new_scores = (np.concatenate([_plain(each[0]) for each in side]) for side in (old, new))
    shift = label_shift(old_scores, new_scores.argmax(axis=1))
    task_scores = _plain(old_task[0])
    task_shift = label_shift(task_scores, _plain(new_answers[0]).argmax(axis=1))
    return TrainingAudit(
        format=FORMAT,
        key=result.key,
        strategy=result.strategy,
        seed=result.seed,
        labels=list(result.labels),
        new_task=new_task,
        task=_answers(task.validation, task.test, old_task, new_answers[1], task_shift),
        task_shift=task_shift.tolist(),
        rules={
            name: _answers(rule.validation, rule.test, old_scores_of, new_scores_of[1], shift)
            for (name, rule), old_scores_of, new_scores_of in zip(
                rules.by_name.items(), old, new, strict=True
            )
        },
        rules_shift=shift.tolist(),
        sources=dict(rules.sources),
    )


def _answers(
    validation: Dataset,
    test: Dataset,
    before: tuple[Tensor, Tensor],
    after: Tensor,
    shift: Any,
) -> Answers:
    old_validation, old_test = (_plain(each) for each in before)
    known = float(np.mean(old_validation.argmax(axis=1) == np.asarray(validation["label"][:])))
    return Answers(
        labels=test["label"][:],
        before=old_test.argmax(axis=1).tolist(),
        after=_plain(after).argmax(axis=1).tolist(),
        twin=shifted(old_test, shift).tolist(),
        known=known,
    )


def _plain(scores: Tensor) -> np.ndarray:
    """Scores as numbers; of a label that the head of the first task does not have, a number far below all others."""
    values = scores.float().numpy()
    finite = np.isfinite(values)
    return np.where(finite, values, values[finite].min() - 1e3) if not finite.all() else values


def _before(plan: Plan, seed: int, progress: Progress) -> tuple[str | None, Score]:
    """The scores of the model as it was before the later tasks of the run, and what tells models with these scores apart.

    Under protocol retrain that of the encoder and head that all runs start from; otherwise the method after the first
    task, from the cache or trained again.
    """
    from contsym.models.pair_model import PairModel
    from contsym.training.encoder import load_encoder
    from contsym.training.first_task import FirstTaskCache, first_tasks_folder
    from contsym.training.loop import SeedRun
    from contsym.training.retrain import find_known_task

    cache = FirstTaskCache(first_tasks_folder(plan.config.output))
    start = find_known_task(plan, seed, progress, cache)
    if start:
        from torch import nn

        encoder = load_encoder(plan)
        head = start.install(encoder, plan.encoder.folder)
        n_labels = len(plan.scenario.label_space.names)
        model = PairModel(encoder, nn.Identity(), joined=None, n_labels=n_labels, known_head=head)
        model.to(plan.device).eval()
        return start.key, model.known_scores
    run = SeedRun(plan, [plan.training_part(task, seed) for task in plan.trained], seed, progress)
    cache.fast_forward(run, seed)
    if not run.n_done:
        run.train_next()
    run.strategy.model.eval()
    run.strategy.refresh()
    return None, run.strategy.score


def _known(model: TrainedModel) -> Score:
    return model.strategy.known_scores


def _own(model: TrainedModel) -> Score:
    return model.strategy.score
