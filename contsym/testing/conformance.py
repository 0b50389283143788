"""The suite that every strategy passes, behind `contsym check` and the tests.

A check is a function of a Bench: it returns its measurement in words, or raises Failed. All checks use toy
tasks and a tiny encoder with random weights, and need no network. Over 400 lines: all checks are here, in
the order in which they run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from contsym import plugins
from contsym.config import RunConfig
from contsym.data.joining import texts_of
from contsym.errors import ContsymError, SettingError, line_in
from contsym.files import to_json
from contsym.machine import quiet_libraries
from contsym.models.encoders.device import deterministic
from contsym.models.scores import NoProbabilities
from contsym.results.store import SCORES
from contsym.scenarios.catalog import find_scenario
from contsym.strategies.base import Strategy
from contsym.strategies.catalog import find_strategy, load_strategy
from contsym.testing import toy
from contsym.testing.elsewhere import scores_elsewhere
from contsym.training.encoder import load_encoder
from contsym.training.failures import hidden_column
from contsym.training.loop import SeedRun
from contsym.training.parts import Shared
from contsym.training.plan import Plan, parse_settings, prepare
from contsym.training.progress import Silent
from contsym.training.run import run_seed
from contsym.training.trained import TrainedModel

LEARNED = 0.9
"""The accuracy on the separable task that counts as learned; guessing scores 0.5."""

TOY_LEARNING_RATE = "3e-3"
"""Random weights need a higher rate than the presets, which suit checkpoints."""

SAME_SCORE = 1e-4
"""The largest difference of two scores of a pair, as a share of the largest score of the label: batches of other lengths
add up in another order."""

COMPLETE_STATE = "expected state() and restore() to hold all that a finished experience changes"

TWO = "mnli_then_wikidata"
ONE = "wikidata_only"


class Failed(Exception):
    """The strategy does not meet an expectation."""


class Skipped(Exception):
    """A check does not apply to the strategy."""


class Bench:
    """A strategy with its settings, an encoder and the toy tasks; checks share runs and data.

    `encoder` is the folder of another checkpoint than the tiny BERT, as for a language model. Raises
    ContsymError for an unknown strategy, a plug-in that cannot be used, or a wrong setting.
    """

    def __init__(
        self,
        strategy: str,
        folder: Path,
        *,
        encoder: Path | None = None,
        settings: Mapping[str, str] | None = None,
        files: Sequence[str | Path] = (),
    ) -> None:
        self.name, self.folder, self.files = strategy, folder, tuple(map(str, files))
        self.plugins = plugins.read(self.files)
        quiet_libraries()
        self.card = find_strategy(strategy, self.plugins)
        if self.card.inputs == "single":
            raise ContsymError(
                f"check {strategy}: its CARD has inputs = 'single', and all checks are on pairs; expected 'pair, single', or "
                "try it on a task of its own, as contsym run --limit 64"
            )
        self.strategy: type[Strategy] = load_strategy(strategy, self.plugins)
        rate = {"learning_rate": TOY_LEARNING_RATE} if self.strategy.trains else {}
        self.settings = {**rate, **(settings or {})}
        self.sources = toy.write_tasks(folder / "tasks")
        self.encoder = encoder or toy.save_encoder(folder / "encoder")
        self._shared = Shared()
        self.plan(ONE)

    def plan(self, scenario: str = TWO, settings: Mapping[str, str] | None = None, **changes: Any) -> Plan:
        options: dict[str, Any] = {"device": "cpu", "precision": "fp32", "curve": False, "audit": False}
        options["protocol"] = "sequential"
        config = RunConfig(
            strategy=self.name,
            scenario=scenario,
            encoder=str(self.encoder),
            sources={task: self.sources[task] for task in find_scenario(scenario).tasks},
            settings={**self.settings, **(settings or {})},
            plugins=self.files,
            output=self.folder / "out",
            **{**options, **changes},
        )
        return prepare(config, self._shared)

    def seed_run(self, plan: Plan, seed: int = 0) -> SeedRun:
        return SeedRun(plan, [plan.training_part(task, seed) for task in plan.trained], seed, Silent())

    def result(self, plan: Plan, seed: int = 0):
        """(result, predictions, tensors) of a whole run."""
        return run_seed(plan, seed, Silent())

    @cached_property
    def reference(self):
        """A short run through two tasks, for comparisons to the bit."""
        return self.result(self.plan(settings={"steps": "12"}), 7)


def has_a_card(bench: Bench) -> str:
    """Card and class agree whether the method trains."""
    if (bench.card.trains == "nothing") == bench.strategy.trains:
        raise Failed(
            f'CARD["trains"] is {bench.card.trains!r}, but the class has trains = {bench.strategy.trains}; '
            "expected 'nothing' where it is False, and nowhere else"
        )
    return f"trains {bench.card.trains}; stores {bench.card.stores}"


def refuses_wrong_settings(bench: Bench) -> str:
    """A batch of no pairs is refused; each setting has a description and a valid default.

    (pydantic does not check defaults. Unknown settings are refused before a strategy sees them.)
    """
    settings = bench.strategy.Settings
    fields = settings.model_fields
    for name, info in fields.items():
        if not info.description:
            raise Failed(f"setting {name} has no description; expected Field(default, description=...)")
    for name, default in settings.model_validate({}).model_dump(mode="json").items():
        if default is not None and (reason := _refusal(bench, name, default)):
            raise Failed(f"{reason}; {default} is its default")
    if not _refusal(bench, "batch_size", 0):
        raise Failed("batch_size=0 was taken; expected a subclass of TrainingSettings that refuses it")
    return f"{len(fields)} settings"


def _refusal(bench: Bench, name: str, value: object) -> str | None:
    """The error of `--set name=value`; None for a valid value."""
    try:
        parse_settings(bench.strategy, {name: str(value)})
    except SettingError as error:
        return str(error)
    return None


def scores_are_finite(bench: Bench) -> str:
    """Scores before and after training have shape (pairs, labels), and are floating point and finite."""
    run = bench.seed_run(bench.plan(settings={"steps": "3"}))
    pairs = texts_of(run.plan.tasks[1].test)
    shape = (len(pairs), run.strategy.n_labels)
    run.strategy.current = run.parts[0]
    for when in ("before training", "after it"):
        with torch.random.fork_rng():
            run.template.refresh()
            scores = run.strategy.score(pairs)
        if tuple(scores.shape) != shape:
            raise Failed(
                f"{type(run.strategy).__name__}.score gave a tensor of shape {tuple(scores.shape)}; expected "
                f"(pairs, labels), {shape}"
            )
        if not scores.is_floating_point():
            raise Failed(f"scores {when} are {scores.dtype}; expected floating point")
        n_wrong = int((~torch.isfinite(scores)).sum())
        if n_wrong:
            raise Failed(f"{n_wrong} of {scores.numel()} scores {when} are not finite")
        if when == "before training":
            try:
                run.train_next()
            except NoProbabilities as error:
                raise Failed(str(error)) from None
    return f"{shape[0]} x {shape[1]}"


def scores_depend_on_the_pair_alone(bench: Bench) -> str:
    """The scores of a pair do not depend on what else is scored, and scoring changes nothing that is stored."""
    run = bench.seed_run(bench.plan(settings={"steps": "3"}))
    run.train_next()
    strategy, pairs = run.strategy, texts_of(run.plan.tasks[1].test)
    before = _stored(strategy)
    scores = strategy.score(pairs)
    after = _stored(strategy)
    kept = {name for name in before.keys() & after.keys() if torch.equal(before[name], after[name])}
    if changed := sorted((before.keys() | after.keys()) - kept):
        raise Failed(
            f"scoring changed {', '.join(changed[:3])}; expected score to change nothing of state() and artifacts()"
        )
    if not torch.equal(scores, strategy.score(pairs)):
        raise Failed("the same pairs have other scores when scored again; expected them equal to the bit")
    in_turn = torch.arange(len(pairs))
    shuffled = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0))
    allowed = 1e-5 + SAME_SCORE * scores.abs().amax(dim=0)
    for how, parts in (("in two halves", in_turn.chunk(2)), ("in another order", (shuffled,))):
        again = torch.cat([strategy.score(pairs.select(rows.tolist())) for rows in parts])
        n = int(((again - scores[torch.cat(parts)]).abs() > allowed).any(dim=1).sum())
        if n:
            raise Failed(
                f"{n} of {len(pairs)} pairs have other scores when they are scored {how}; expected the scores of a pair to "
                "depend on its texts and on the training alone"
            )
    return "as in halves and in another order"


def _stored(strategy: Strategy) -> dict[str, Tensor]:
    """A copy of all that a strategy stores, without counts of what was scored."""
    state = {
        f"state {name}": t for name, t in strategy.state().items() if name not in strategy.scoring_counts
    }
    artifacts = {f"artifact {name}": t for name, t in strategy.artifacts().items()}
    return {name: t.detach().clone() for name, t in {**state, **artifacts}.items()}


def learns_a_separable_task(bench: Bench) -> str:
    """Four relations with different words, 200 training pairs, 64 test pairs.

    Gradient steps can move the encoder until the relations are apart. A method without them has what random weights tell
    apart, so it has to be clearly better than guessing.
    """
    method = bench.strategy
    if not method.trains and method.fit is Strategy.fit and not method.has_memory():
        raise Skipped("it takes no gradient step and fits nothing")
    plan = bench.plan(ONE)
    result, _, _ = bench.result(plan)
    accuracy, n_test = result.matrix[1][0], len(plan.tasks[0].test)
    if method.trains:
        least, message = LEARNED, f"accuracy {accuracy:.2f} after {len(result.loss[0])} steps"
        expected = f"{least} or more (try another --set learning_rate=)"
    else:
        # Three standard deviations of the share of two labels that guesses get right.
        least, message = 0.5 + 3 * (0.25 / n_test) ** 0.5, f"accuracy {accuracy:.2f} without a gradient step"
        expected = f"{least:.2f} or more, clearly above guessing (0.5)"
    if accuracy < least:
        raise Failed(f"{message}; expected {expected}")
    return message


def same_seed_same_result(bench: Bench) -> str:
    """Two runs of one seed are equal to the bit; runs of two seeds differ."""
    first, rows, tensors = bench.reference
    second, same_rows, same_tensors = bench.result(bench.plan(settings={"steps": "12"}), 7)
    _expect_same("the losses", first.loss, second.loss)
    _expect_same("the predictions", rows, same_rows)
    _expect_same_tensors("artifact", tensors, same_tensors)
    if bench.strategy.trains:
        other, _, _ = bench.result(bench.plan(ONE, settings={"steps": "3"}), 1)
        third, _, _ = bench.result(bench.plan(ONE, settings={"steps": "3"}), 2)
        if other.loss == third.loss:
            raise Failed("seeds 1 and 2 have the same losses; expected runs that differ")
    return "losses, predictions and stored tensors"


def measuring_does_not_change_training(bench: Bench) -> str:
    """With the trajectory and without it, training is the same to the bit."""
    if not bench.strategy.trains:
        raise Skipped("it takes no gradient step, so there is no trajectory")
    without, rows, _ = bench.reference
    measured, same_rows, _ = bench.result(bench.plan(settings={"steps": "12"}, curve=True), 7)
    if not measured.trajectory:
        raise Failed("no trajectory was measured; expected points after 0, 1, 2, 4, 8, ... steps")
    _expect_same("the losses", without.loss, measured.loss)
    _expect_same("the predictions", rows, same_rows)
    return f"{len(measured.trajectory)} points"


def saved_and_loaded_is_the_same(bench: Bench) -> str:
    """A new run with the stored state predicts and learns as the old one."""
    plan = bench.plan(settings={"steps": "12"})
    run = bench.seed_run(plan, 7)
    run.train_next()
    pairs = texts_of(plan.tasks[0].test)
    values, tensors = run.state()
    expected = run.strategy.score(pairs)
    path = bench.folder / "state.safetensors"
    save_file({name: t.contiguous() for name, t in tensors.items()}, path)
    other = bench.seed_run(plan, 7)
    with _loaded(bench):
        other.restore(json.loads(to_json(values)), load_file(path))
        with torch.random.fork_rng():
            other.template.refresh()
            scores = other.strategy.score(pairs)
    if not torch.equal(expected, scores):
        n = int((expected != scores).any(dim=1).sum())
        raise Failed(f"the scores of {n} of {len(pairs)} pairs differ after loading; {COMPLETE_STATE}")
    with _loaded(bench):
        other.train_next()
    whole, _, stored = bench.reference
    artifacts = {name: t for name, t in stored.items() if not name.startswith(("view.", SCORES))}
    _expect_same("the losses after loading", whole.loss, other.log.losses)
    _expect_same_tensors("artifact after loading", artifacts, other.strategy.artifacts())
    return f"{sum(t.nbytes for t in tensors.values()):,} bytes"


@contextmanager
def _loaded(bench: Bench) -> Iterator[None]:
    """An error of a strategy that was loaded, which the one before it did not have, with its likely cause."""
    try:
        yield
    except (Failed, ContsymError):
        raise
    except Exception as error:
        raise Failed(f"{_one_line(bench, error)} after loading; {COMPLETE_STATE}") from error


def saved_model_predicts_the_same(bench: Bench) -> str:
    """A model that was saved and loaded in another process gives the scores of the run to the bit."""
    models: list[TrainedModel] = []
    plan = bench.plan(settings={"steps": "3"})
    run_seed(plan, 7, Silent(), on_end=models.append)
    folder = bench.folder / "saved"
    models[0].save(folder, replace=True)
    pairs = texts_of(plan.tasks[1].test)
    expected = models[0].scores(pairs).scores
    try:
        scores = scores_elsewhere(folder, pairs, bench.files)["own"]
    except ContsymError as error:
        raise Failed(f"the saved model cannot be used in another process ({error})") from None
    if not torch.equal(expected, scores):
        n = int((expected != scores).any(dim=1).sum())
        raise Failed(
            f"the scores of {n} of {len(pairs)} pairs differ in the saved model; expected state() and restore() to hold "
            "all that a run changes, and stored_pairs() the pairs that it still reads"
        )
    return f"{sum(path.stat().st_size for path in folder.rglob('*')):,} bytes"


def grows_as_declared(bench: Bench) -> str:
    """Stored bytes grow only as CARD["grows"] says."""
    grows = bench.card.grows
    if grows is None:
        raise Skipped('its CARD declares no "grows"')
    short = {"steps": "2"}
    bytes_by_pairs = []
    for shots in (16, 64):
        run = bench.seed_run(bench.plan(ONE, settings=short, shots=shots))
        run.train_next()
        bytes_by_pairs.append(run.template.n_stored_bytes)
    run = bench.seed_run(bench.plan(settings=short, shots=16))
    bytes_by_experiences = []
    for _ in run.parts:
        run.train_next()
        bytes_by_experiences.append(run.template.n_stored_bytes)
    plan = run.plan
    bytes_by_labels = []
    for n in (3, 6):
        new = bench.strategy(
            encoder=load_encoder(plan),
            settings=plan.settings,
            labels=[str(i) for i in range(n)],
            seed=0,
            device=plan.device,
        )
        head = new.model.head
        bytes_by_labels.append(sum(t.nbytes for t in (*head.parameters(), *head.buffers())))
    measured = {"pairs": bytes_by_pairs, "experiences": bytes_by_experiences, "labels": bytes_by_labels}
    figures = (
        "bytes with 16 and 64 pairs {:,} and {:,}, after one and two experiences {:,} and {:,}, "
        "of a head for 3 and 6 labels {:,} and {:,}"
    ).format(*bytes_by_pairs, *bytes_by_experiences, *bytes_by_labels)
    growing = {what for what, (less, more) in measured.items() if more > less}
    # Growth with pairs implies growth with experiences; either may have a head that grows with labels.
    allowed = {
        "no": set(),
        "labels": {"labels"},
        "experiences": {"experiences", "labels"},
        "pairs": {"pairs", "experiences", "labels"},
    }[grows]
    shrinks = any(more < less for less, more in measured.values())
    if shrinks or not growing <= allowed or (grows != "no" and grows not in growing):
        raise Failed(f'CARD["grows"] is {grows!r}, but {figures}')
    return f"{grows}: {figures}"


def frozen_parameters_stay(bench: Bench) -> str:
    """Only trained parameters change, and n_trained_parameters counts them."""
    run = bench.seed_run(bench.plan(ONE, settings={"steps": "3"}))
    model, trains = run.strategy.model, run.strategy.trains
    before = {name: (p.detach().clone(), p.requires_grad) for name, p in model.named_parameters()}
    run.train_next()
    after = dict(model.named_parameters())
    changed = [n for n, (p, _) in before.items() if n in after and not torch.equal(p, after[n].detach())]
    for name in changed:
        if not trains:
            raise Failed(f"{name} changed; expected no parameter to, since trains is False (use a buffer)")
        if not before[name][1]:
            raise Failed(f"{name} changed; expected it not to, since its requires_grad is False")
    n_changed, n_trained = sum(after[name].numel() for name in changed), run.strategy.n_trained_parameters
    if trains and not changed and set(after) <= set(before):
        raise Failed("no parameter changed in 3 steps; expected some to, since trains is True")
    if n_changed > n_trained or (not trains and n_trained):
        raise Failed(f"{n_changed:,} parameters changed, but n_trained_parameters is {n_trained:,}")
    n_all = sum(p.numel() for p in after.values())
    return f"{n_trained:,} of {n_all:,} parameters are trained"


CHECKS: Mapping[str, Callable[[Bench], str]] = {
    check.__name__.replace("_", " "): check
    for check in (
        has_a_card,
        refuses_wrong_settings,
        scores_are_finite,
        scores_depend_on_the_pair_alone,
        learns_a_separable_task,
        same_seed_same_result,
        measuring_does_not_change_training,
        saved_and_loaded_is_the_same,
        saved_model_predicts_the_same,
        grows_as_declared,
        frozen_parameters_stay,
    )
}


@dataclass(frozen=True)
class Outcome:
    """The outcome of one check."""

    name: str
    status: Literal["pass", "fail", "skip"]
    detail: str


def outcome(bench: Bench, name: str) -> Outcome:
    """The outcome of a check; a strategy that raises an error fails it."""
    try:
        with deterministic("cpu"):
            return Outcome(name, "pass", CHECKS[name](bench))
    except Skipped as error:
        return Outcome(name, "skip", str(error))
    except (Failed, ContsymError) as error:
        return Outcome(name, "fail", str(error))
    except Exception as error:
        return Outcome(name, "fail", str(hidden_column(error) or _one_line(bench, error)))


def _one_line(bench: Bench, error: Exception) -> str:
    """The exception, with the last line of the plug-in in its traceback."""
    text = " ".join(f"{type(error).__name__}: {error}".split())[:400]
    plugin = bench.plugins.find("strategy", bench.name)
    place = line_in(error, plugin.path if plugin else None)
    return f"{text} ({place})" if place else text


def _equal(first: Tensor, second: Tensor) -> bool:
    """Equal to the bit; NaN in both counts as equal, since another check reports it."""
    if not first.is_floating_point():
        return torch.equal(first, second)
    return torch.equal(first.isnan(), second.isnan()) and torch.equal(first.nan_to_num(), second.nan_to_num())


def _expect_same(what: str, first: object, second: object) -> None:
    if first != second:
        raise Failed(f"{what} differ between two runs; expected them equal to the bit")


def _expect_same_tensors(what: str, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> None:
    if first.keys() != second.keys():
        raise Failed(f"{what}s differ: {sorted(first)} and {sorted(second)}")
    for name, tensor in first.items():
        if not _equal(tensor, second[name]):
            raise Failed(f"{what} {name} differs between two runs; expected it equal to the bit")
