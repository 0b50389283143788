"""Which stored results a report is about, and the groups that they form; nothing is computed here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from contsym.checked import Skip, Skipped, tell_skipped
from contsym.config import DEFAULT_TARGET
from contsym.data.tasks import TASKS
from contsym.errors import ContsymError, SettingError
from contsym.results import store
from contsym.results.schema import SeedResult
from contsym.sweep.find import find, nothing_there
from contsym.sweep.runs import StoredRun, latest_sweep, stored_runs


@dataclass(frozen=True)
class Stored:
    """One result and the folder that it lies in."""

    folder: Path
    result: SeedResult


@dataclass(frozen=True)
class Collected:
    """The results of a report: of one sweep, or of plain runs; all on the same data.

    A group is the results of one variant (a strategy with its set values) at one number of shots,
    one for each seed.
    """

    name: str
    """That of the sweep or run, or what results are called together; also the report's folder."""
    stored: tuple[Stored, ...]
    sweep: StoredRun | None = None
    failures: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    n_planned: int = 0

    @property
    def first(self) -> SeedResult:
        return self.stored[0].result

    @property
    def tasks(self) -> list[str]:
        return list(self.first.tasks)

    @property
    def new_task(self) -> str:
        """The task that the shots are of: the last one of relations, or the last."""
        return self.first.new_task

    @property
    def earlier_tasks(self) -> list[str]:
        """Those that something came after, so that they can have been forgotten."""
        return self.tasks[:-1]

    @cached_property
    def variants(self) -> list[str]:
        """In the order that they were asked for."""
        found = {self.variant_of(s.result): s.result.strategy for s in self.stored}
        if self.sweep:
            order = list(self.sweep.config.strategies)
            return sorted(found, key=lambda name: order.index(found[name]))
        return list(found)

    def variant_of(self, result: SeedResult) -> str:
        """The strategy, with those of its set values that are not the same in all its results."""
        return result.variant(self._varied.get(result.strategy, set()))

    def strategy_of(self, variant: str) -> str:
        return next(s.result.strategy for s in self.stored if self.variant_of(s.result) == variant)

    @cached_property
    def _varied(self) -> dict[str, set[str]]:
        """Names of settings that have several values, by strategy."""
        asked = set(self.sweep.varied) if self.sweep else set()
        settings: dict[str, list[dict[str, str]]] = {}
        for stored in self.stored:
            texts = {name: str(value) for name, value in stored.result.settings.items()}
            settings.setdefault(stored.result.strategy, []).append(texts)
        return {
            strategy: asked
            | {
                name
                for name in {name for values in own for name in values}
                if len({values.get(name) for values in own}) > 1
            }
            for strategy, own in settings.items()
        }

    @cached_property
    def shots(self) -> list[int]:
        return sorted({s.result.n_shots for s in self.stored})

    @cached_property
    def seeds(self) -> list[int]:
        return sorted({s.result.seed for s in self.stored})

    @cached_property
    def _groups(self) -> dict[tuple[str, int], list[Stored]]:
        found: dict[tuple[str, int], list[Stored]] = {}
        for stored in sorted(self.stored, key=lambda s: s.result.seed):
            found.setdefault((self.variant_of(stored.result), stored.result.n_shots), []).append(stored)
        return found

    def group(self, variant: str, shots: int) -> list[Stored]:
        """In the order of the seeds; empty where none is stored."""
        return self._groups.get((variant, shots), [])

    def values(self, variant: str, shots: int, figure: Callable[[SeedResult], Any]) -> list[Any]:
        return [figure(stored.result) for stored in self.group(variant, shots)]

    def whole_seeds(self, variant: str) -> list[int]:
        """Seeds of which every number of shots is stored."""
        per_shots = [{s.result.seed for s in self.group(variant, n)} for n in self.shots]
        return sorted(set.intersection(*per_shots))

    def common_seeds(self, variants: Sequence[str], shots: int) -> list[int]:
        """Seeds that every one of the variants has at this number of shots."""
        if not variants:
            return []
        return sorted(set.intersection(*({s.result.seed for s in self.group(v, shots)} for v in variants)))

    @property
    def target(self) -> float:
        """The accuracy that the results were made to look for, where they agree on one."""
        found = {s.result.options.target for s in self.stored}
        return found.pop() if len(found) == 1 else DEFAULT_TARGET

    @property
    def stand_ins(self) -> dict[str, str]:
        """Source by task, of those that only stand in for real data."""
        return {task: s.name for task, s in self.first.sources.items() if s.stand_in}

    @property
    def notes(self) -> list[tuple[str, str]]:
        """(variant, note) of what results say of themselves; of each variant the notes of its first result
        that has any."""
        found: dict[str, list[str]] = {}
        for stored in self.stored:
            if stored.result.notes:
                found.setdefault(self.variant_of(stored.result), stored.result.notes)
        return [(variant, note) for variant, notes in found.items() for note in notes]

    @property
    def made_by(self) -> list[str]:
        """The versions of contsym's code that made the results, by the hash of what decides them."""
        found: dict[tuple[str, str], str] = {}
        for stored in self.stored:
            version, commit = stored.result.versions.get("contsym", "?"), stored.result.git_commit
            code = stored.result.code_sha256
            parts = (version, commit and f"commit {commit[:8]}", f"code {code[:8]}")
            found.setdefault((version, code), " ".join(filter(None, parts)))
        return list(found.values())

    def train_pairs(self, task: str) -> list[int]:
        """The numbers of training pairs of an experience; several where the shots decide them."""
        return sorted({stored.result.sources[task].rows.train for stored in self.stored})

    @property
    def plugins(self) -> dict[str, list[str]]:
        """Where each plug-in came from, with the SHA-256 of its source; several where it was edited in between."""
        found: dict[str, set[str]] = {}
        for stored in self.stored:
            for p in stored.result.plugins:
                origins = found.setdefault(f"plug-in {p.kind} {p.name}", set())
                origins.add(f"{p.origin} (SHA-256 {p.sha256})")
        return {what: sorted(origins) for what, origins in found.items()}

    @property
    def seeds_said(self) -> str:
        """For captions: `1 seed`, `3 seeds`, or `up to 3 seeds` where some groups have fewer."""
        n = len(self.seeds)
        is_whole = all(len(self.group(v, s)) == n for v in self.variants for s in self.shots)
        return f"{'' if is_whole else 'up to '}{n} seed{'s' * (n > 1)}"

    @property
    def n_missing(self) -> int:
        return self.n_planned - len(self.stored) - len(self.failures)


def title_of(task: str) -> str:
    return TASKS[task].title if task in TASKS else task


def collect(output: Path, given: Sequence[str]) -> Collected:
    """The results of the sweep or the runs that were named; without names, of the latest sweep.

    A name is that of a sweep or a run, its id, the first letters of either, or the folder of a sweep, a run or a
    result; of a sweep in every order, `NAME:ORDER`. Raises ContsymError where there is no such thing, where
    nothing of it is finished, and where results are not of the same data.
    """
    skip = Skipped()
    if not given:
        runs = stored_runs(output, skip)
        if runs and not any(run.is_sweep for run in runs):
            raise ContsymError(
                f"--output {output}: no sweep there; name the runs to report on, as contsym report {runs[0].name}"
            )
        return of_run(latest_sweep(output, skip), skip=skip)
    found = [_find(name, output, skip) for name in given]
    if len(found) == 1 and isinstance(found[0][0], StoredRun):
        return of_run(found[0][0], found[0][1], skip)
    folders: list[Path] = []
    for one, _ in found:
        if isinstance(one, Path):
            folders.append(one)
        elif one.is_sweep:
            raise SettingError(f"{' '.join(given)}: expected one sweep or several runs, not both")
        elif not (done := one.done()):
            raise _unfinished(one, {})
        else:
            folders += done.values()
    return of_folders(folders, skip)


def _find(given: str, output: Path, skip: Skip) -> tuple[StoredRun | Path, str]:
    """What a name stands for, and after a colon the order of its experiences that is meant."""
    name, _, order = given.partition(":")
    found = find(given, output, skip) or find(name, output, skip)
    if found is None:
        raise nothing_there(name, output, skip)
    return found, order if isinstance(found, StoredRun) else ""


def of_run(run: StoredRun, order: str = "", skip: Skip = tell_skipped) -> Collected:
    """The stored results of a run or sweep, in the order of its cells; of one order, where it has every one."""
    whole, scenarios = run.config.scenario, run.scenarios
    scenario = f"{whole}:{order}" if order else whole
    if len(scenarios) > 1 or order:
        if scenario not in scenarios:
            orders = " or ".join(f"{run.id}:{s.rpartition(':')[2]}" for s in scenarios)
            expected = f"expected {orders}" if len(scenarios) > 1 else f"expected it without ':{order}'"
            raise ContsymError(f"{run.name}: a report is of one order of {whole}; {expected}")
        run = replace(run, cells=tuple(c for c in run.cells if c.scenario == scenario))
    found = _readable(run.done().values(), skip)
    failures = run.failures(skip)
    if not found:
        raise _unfinished(run, failures)
    name = "-".join([run.name, *order.split(",")]) if order else run.name
    return _checked(name, _stored(found), run if run.is_sweep else None, failures, len(run.cells))


def _unfinished(run: StoredRun, failures: Mapping[str, Any]) -> ContsymError:
    how = "contsym sweep --resume resumes it" if run.is_sweep else "the same command resumes it"
    return ContsymError(
        f"{run.name}: none of its {len(run.cells)} cells is finished ({len(failures)} failed); {how}"
    )


def of_folders(folders: Sequence[Path], skip: Skip = tell_skipped) -> Collected:
    """The results in these folders, in the order given. Raises ContsymError where none of them can be read."""
    stored = _stored({path.resolve(): result for path, result in _readable(folders, skip).items()})
    joined = "+".join(sorted(s.result.key for s in stored))
    name = f"results-{hashlib.sha256(joined.encode()).hexdigest()[:12]}"
    return _checked(name, stored, None, {}, len(stored))


def _readable(folders: Iterable[Path], skip: Skip) -> dict[Path, SeedResult]:
    """The results in these folders. Raises the first error where none of them can be read."""
    errors: list[ContsymError] = []
    found = store.read_results(folders, errors.append)
    if errors and not found:
        raise errors[0]
    for error in errors:
        skip(error)
    return found


def _stored(found: Mapping[Path, SeedResult]) -> list[Stored]:
    return [Stored(folder, result) for folder, result in found.items()]


def _checked(
    name: str, stored: list[Stored], sweep: StoredRun | None, failures: Mapping[str, Any], n_planned: int
) -> Collected:
    """Figures stand side by side only where they are of the same tasks, data and encoder."""
    first = stored[0]
    for one in stored[1:]:
        for what, of in COMPARABLE.items():
            if of(one.result) != of(first.result):
                raise ContsymError(
                    f"{_short(one)} and {_short(first)} differ in {what} ({_said(of(one.result))}; "
                    f"{_said(of(first.result))}); a report needs the same: report on them one by one"
                )
    seen: dict[tuple[object, ...], Stored] = {}
    for one in stored:
        settings = tuple((name, str(value)) for name, value in one.result.settings.items())
        same = (one.result.strategy, settings, one.result.n_shots, one.result.seed)
        if same in seen:
            raise ContsymError(
                f"{_short(one)} and {_short(seen[same])} are both {same[0]}, {same[2]} shots, seed {same[3]}; "
                "leave one of them out"
            )
        seen[same] = one
    return Collected(name, tuple(stored), sweep, failures, n_planned)


COMPARABLE: Mapping[str, Callable[[SeedResult], Any]] = {
    "scenario": lambda r: r.scenario,
    "experiences": lambda r: r.experiences,
    "protocol": lambda r: r.options.protocol,
    "pretraining": lambda r: r.options.pretrain,
    "encoder": lambda r: r.encoder,
    "encoder weights": lambda r: r.encoder_weights.sha256,
    "pooling": lambda r: r.pooling.kind,
    "data": lambda r: {task: source.fingerprint for task, source in r.sources.items()},
    "training pairs": lambda r: {
        name: source.rows.train for name, source in r.sources.items() if not r.is_relational(name)
    },
}


def _said(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {str(each)[:12]}" for key, each in value.items())
    return str(value)[:40]


def _short(stored: Stored) -> str:
    result = stored.result
    return f"{result.strategy} with {result.n_shots} shots, seed {result.seed} ({result.key[:12]})"
