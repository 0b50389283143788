"""Which stored results a report is about, and the groups that they form; nothing is computed here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
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
from contsym.sweep.stored import SWEEP, StoredSweep, find_sweep, read_sweep, stored_sweeps, sweeps_folder


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
    """The sweep's id, or what the runs are called together; also the folder's name."""
    stored: tuple[Stored, ...]
    sweep: StoredSweep | None = None
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
        given: dict[str, list[Mapping[str, str]]] = {}
        for stored in self.stored:
            given.setdefault(stored.result.strategy, []).append(stored.result.set)
        return {
            strategy: asked
            | {
                name
                for name in {name for values in own for name in values}
                if len({values.get(name) for values in own}) > 1
            }
            for strategy, own in given.items()
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

    A name is a sweep's id or the beginning of it, a run's folder in OUTPUT/results, or the path of
    a sweep, run, seed or cell folder. Raises ContsymError where there is no such thing, where
    nothing of it is finished, and where results are not of the same data.
    """
    skip = Skipped()
    if not given:
        if not stored_sweeps(output, skip) and (runs := store.stored_runs(output, skip)):
            raise ContsymError(
                f"--output {output}: no sweep there; name the runs to report on, as contsym report {runs[-1].name}"
            )
        return of_sweep(find_sweep(output, None, skip), skip=skip)
    named = [sweep for name in given if (sweep := _sweep_named(output, name, skip))]
    if named and len(given) > 1:
        raise SettingError(f"{' '.join(given)}: expected one sweep or several runs, not both")
    if named:
        return of_sweep(*named[0], skip=skip)
    return of_runs([_run_named(output, name, skip) for name in given], skip)


def _sweep_named(output: Path, given: str, skip: Skip) -> tuple[StoredSweep, str] | None:
    """A sweep, and after a colon the order of its experiences that is meant."""
    name, _, order = given.partition(":")
    for folder in (Path(name), sweeps_folder(output) / name):
        if name and (folder / SWEEP).is_file():
            return read_sweep(folder), order
    if (store.runs_folder(output) / name).is_dir() or Path(name).exists():
        return None
    matching = [sweep for sweep in stored_sweeps(output, skip) if sweep.id.startswith(name)]
    if len(matching) > 1:
        ids = ", ".join(sweep.id for sweep in matching)
        raise ContsymError(f"{name!r} begins more than one sweep: {ids}; give more of the id")
    return (matching[0], order) if matching else None


def _run_named(output: Path, name: str, skip: Skip) -> Path:
    for folder in (store.runs_folder(output) / name, Path(name)):
        if folder.is_dir():
            return folder
    known = [sweep.id for sweep in stored_sweeps(output, skip)][:5]
    known += [path.name for path in store.stored_runs(output, skip)][-5:]
    there = f"there are {', '.join(known)}" if known else "there is none yet; contsym sweep or run makes one"
    raise ContsymError(f"{name!r} is no sweep or run in {output} and no folder; {there}")


def of_sweep(sweep: StoredSweep, order: str = "", skip: Skip = tell_skipped) -> Collected:
    """The finished cells of a sweep, in the order of its cells; of one order, where it has every one."""
    whole, scenarios = sweep.config.scenario, sweep.scenarios
    scenario = f"{whole}:{order}" if order else whole
    if len(scenarios) > 1 or order:
        if scenario not in scenarios:
            orders = " or ".join(f"{sweep.id}:{s.rpartition(':')[2]}" for s in scenarios)
            expected = f"expected {orders}" if len(scenarios) > 1 else f"expected it without ':{order}'"
            raise ContsymError(f"sweep {sweep.id}: a report is of one order of {whole}; {expected}")
        sweep = replace(sweep, cells=tuple(c for c in sweep.cells if sweep.scenario_of(c) == scenario))
    found = store.read_seeds(sweep.done().values(), skip)
    failures = sweep.failures(skip)
    if not found:
        raise ContsymError(
            f"sweep {sweep.id}: none of its {len(sweep.cells)} cells is finished "
            f"({len(failures)} failed); contsym sweep --resume goes on with it"
        )
    name = "-".join([sweep.id, *order.split(",")]) if order else sweep.id
    return _checked(name, _stored(found), sweep, failures, len(sweep.cells))


def of_runs(folders: Sequence[Path], skip: Skip = tell_skipped) -> Collected:
    """The seeds of runs, in the order given. Raises ContsymError for a run of which nothing can be read."""
    found: dict[Path, SeedResult] = {}
    for folder in folders:
        seeds = store.read_run(folder, skip)
        if not seeds:
            raise ContsymError(
                f"{folder}: no finished seed there; expected a run, seed, cell or sweep folder"
            )
        found |= {path.resolve(): result for path, result in seeds.items()}
    stored = _stored(found)
    names = list(dict.fromkeys(s.result.run for s in stored))
    joined = "+".join(sorted(s.result.key for s in stored))
    name = names[0] if len(names) == 1 else f"runs-{hashlib.sha256(joined.encode()).hexdigest()[:12]}"
    return _checked(name, stored, None, {}, len(stored))


def _stored(found: Mapping[Path, SeedResult]) -> list[Stored]:
    return [Stored(folder, result) for folder, result in found.items()]


def _checked(
    name: str, stored: list[Stored], sweep: StoredSweep | None, failures: Mapping[str, Any], n_planned: int
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
        set_values = tuple(one.result.set.items())
        same = (one.result.strategy, set_values, one.result.n_shots, one.result.seed)
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
    return f"{result.run} seed {result.seed}"
