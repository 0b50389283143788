"""The fewest shots that reach a target: trainings on nested sets of pairs, chosen by validation pairs alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contsym.checked import Amount, Share, Written, check, read_json
from contsym.config import DEFAULT_TARGET
from contsym.errors import ContsymError
from contsym.files import to_json, write_file
from contsym.results.metrics.matrix import accuracy
from contsym.results.schema_training import Search, TriedShots
from contsym.training.first_task import FirstTaskCache, first_task_plan
from contsym.training.keys import key_of
from contsym.training.parts import fixed_parts, shots_to_try

if TYPE_CHECKING:
    from contsym.training.known_task import KnownTask
    from contsym.training.plan import Plan
    from contsym.training.progress import Progress

TRIALS = "trials"
"""The folder of trials in an output folder, one small file per key."""


class Trial(Written):
    """What a trial gave, stored: a search that was stopped resumes, and one for another target tries no size twice."""

    accuracy: Share
    seconds: Amount


@dataclass(frozen=True)
class Least:
    """The outcome of `least`."""

    n: int
    """The least number that reached the target; the largest one where none did."""
    is_reached: bool
    tried: dict[int, float]
    """Accuracy by number, in the order of trying."""
    note: str | None
    """Where the accuracy was seen to fall with more pairs."""


def least(sizes: Sequence[int], accuracy_at: Callable[[int], float], target: float) -> Least:
    """The least of growing sizes whose accuracy reaches the target, after about 2 log2(len(sizes)) calls.

    The 1st, 2nd, 4th, ... size is tried until one reaches the target, then the middle of what is left. This finds the
    least size if accuracy grows with the size. It may not, so the two sizes below the answer and the one above it are
    tried too, and if a lower one reaches the target, those below that.
    """
    tried: dict[int, float] = {}

    def reaches(place: int) -> bool:
        size = sizes[place]
        if size not in tried:
            tried[size] = accuracy_at(size)
        return tried[size] >= target

    last = len(sizes) - 1
    too_few, enough = -1, 0
    while not reaches(enough):
        if enough == last:
            return Least(sizes[last], False, tried, None)
        too_few, enough = enough, min(2 * enough + 1, last)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if reaches(middle):
            enough = middle
        else:
            too_few = middle
    lower: int | None = enough
    while lower is not None:
        enough = lower
        lower = next((place for place in (enough - 1, enough - 2) if place >= 0 and reaches(place)), None)
    if enough < last:
        reaches(enough + 1)
    return Least(sizes[enough], True, tried, _falls(sizes[enough], tried, target))


def _falls(n: int, tried: dict[int, float], target: float) -> str | None:
    misses = sorted(size for size, found in tried.items() if size > n and found < target)
    if not misses:
        return None
    return (
        f"accuracy does not only grow with the pairs: {n} reach {target:g} on validation, "
        f"{' and '.join(map(str, misses))} do not, so a number that was not tried may do with less"
    )


def search_least(
    plan: Plan, seed: int, progress: Progress, cache: FirstTaskCache, start: KnownTask | None
) -> tuple[Search, str | None, float]:
    """The search of a seed, a note for the reader if there is one, and the seconds of all its trials.

    A trial is trained as a run with that many shots. It has the fixed validation parts in place of the test pairs, so
    that nothing of it can read a test pair; its accuracy is the least one on an experience with shots, right after
    it. The first task is trained once for all trials and for the result. A trial that is stored is not trained again.
    """
    # By the plan itself: a trial would leave predictions of validation pairs in the state.
    first, parts = first_task_plan(plan), fixed_parts(plan.tasks)
    trial = replace(
        plan,
        # For whatever is searched, the same trial.
        config=replace(plan.config, until=None, target=DEFAULT_TARGET),
        tasks=tuple(replace(task, test=part) for task, part in zip(plan.tasks, parts, strict=True)),
        is_trial=True,
    )

    folder = cache.folder.with_name(TRIALS)
    seconds = 0.0

    def accuracy_at(n: int) -> float:
        nonlocal seconds
        one = trial.with_shots(n)
        # A trial measures none of what else a run may.
        bare = replace(one.config, curve=False, audit=False, relearn=False)
        path = folder / f"{key_of(replace(one, config=bare), seed)}.json"
        if path.exists():
            done = check(Trial, read_json(path, "delete it"), path)
        else:
            progress.phase(f"least shots: trying {n}", None)
            done = train_trial(one, seed, progress, cache, start, first)
            _store(done, path)
        seconds += done.seconds
        return done.accuracy

    target, step = plan.config.aim, plan.config.step
    sizes = shots_to_try([task for task in plan.tasks if task.few_shot], plan.config)
    found = least(sizes, accuracy_at, target)
    tried = [TriedShots(n=n, accuracy=a) for n, a in found.tried.items()]
    n_found = found.n if found.is_reached else None
    return Search(tried=tried, found=n_found, target=target, step=step, most=sizes[-1]), found.note, seconds


def _store(trial: Trial, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, to_json(trial.model_dump()))
    except OSError as error:
        raise ContsymError(
            f"{path}: cannot be written ({error.strerror or error}); mend that, then the same command resumes"
        ) from None


def train_trial(
    plan: Plan, seed: int, progress: Progress, cache: FirstTaskCache, start: KnownTask | None, first: Plan
) -> Trial:
    """A trial's least accuracy on an experience with shots, right after its training, and its seconds; `first` is the plan
    that trains the first task."""
    from contsym.models.encoders.device import deterministic
    from contsym.training.loop import SeedRun

    parts = [plan.training_part(task, seed) for task in plan.trained]
    with deterministic(plan.device):
        run = SeedRun(plan, parts, seed, progress, start)
        cache.fast_forward(run, seed, first)
        while run.n_done < len(plan.tasks):
            run.train_next()
    lowest = min(
        accuracy(run.predictions[j + 1][j], np.asarray(task.test["label"][:]))
        for j, task in enumerate(plan.tasks)
        if task.few_shot
    )
    return Trial(accuracy=lowest, seconds=run.seconds)
