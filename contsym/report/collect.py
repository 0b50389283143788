"""Selects the stored results of a report and groups them; computes no figure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from contsym.checked import Skip, Skipped, tell_skipped
from contsym.config import DEFAULT_TARGET
from contsym.errors import ContsymError, SettingError
from contsym.report.comparable import check_comparable
from contsym.results import store
from contsym.results.paper_readings import Outcome, are_of_paper, readings_of
from contsym.results.paper_readings import targets as targets_of
from contsym.results.reading import amount, is_fixed, shots_label, shots_words
from contsym.results.schema import SeedResult
from contsym.results.selection import Selection, select
from contsym.results.summary import varied_settings
from contsym.sweeps.find import find, nothing_there
from contsym.sweeps.runs import StoredRun, latest_sweep, stored_runs
from contsym.tasks.catalog import own_tasks


@dataclass(frozen=True)
class Collected:
    """The results of a report, from one sweep or from plain runs; all on the same data.

    A group has the results of one variant (a strategy with its varied settings) at one number of shots, one per seed.
    """

    name: str
    """Of the sweep or run, or a common name of several results; also the report's folder."""
    by_folder: Mapping[Path, SeedResult]
    sweep: StoredRun | None = None
    failures: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    n_planned: int = 0
    """Cells, those of other readings included."""
    n_done: int = 0
    """How many of them have a result."""
    selections: Sequence[Selection] = ()
    """The settings that `--select` chose, of which the results are."""
    readings: Mapping[str, Sequence[SeedResult]] = field(default_factory=dict)
    """By name, the results of each reading of a sweep that has any; the others are those of its first one."""
    run: StoredRun | None = None
    """The run or sweep that all of the results are of, with all of its cells."""

    @cached_property
    def results(self) -> list[SeedResult]:
        return list(self.by_folder.values())

    @property
    def first(self) -> SeedResult:
        return self.results[0]

    @property
    def tasks(self) -> list[str]:
        return self.first.tasks

    @property
    def new_task(self) -> str:
        """The task with the shots: the last relational one, or else the last."""
        return self.first.new_task

    @property
    def earlier_tasks(self) -> list[str]:
        """All that were trained on but the last, which cannot be forgotten."""
        return self.first.trained_tasks[:-1]

    @property
    def last_task(self) -> str:
        """The last that was trained on."""
        return self.first.trained_tasks[-1]

    @cached_property
    def variants(self) -> list[str]:
        """In the order of the command."""
        strategies = {self.variant_of(result): result.strategy for result in self.results}
        if self.sweep:
            order = list(self.sweep.config.strategies)
            return sorted(strategies, key=lambda variant: order.index(strategies[variant]))
        return list(strategies)

    def variant_of(self, result: SeedResult) -> str:
        """The strategy, with the settings that vary among its results."""
        return result.variant(self._varied[result.strategy])

    def strategy_of(self, variant: str) -> str:
        return next(result.strategy for result in self.results if self.variant_of(result) == variant)

    @cached_property
    def _varied(self) -> dict[str, set[str]]:
        """Names of settings with several values, by strategy."""
        in_sweep = set(self.sweep.varied) if self.sweep else set()
        return {strategy: in_sweep | names for strategy, names in varied_settings(self.results).items()}

    @cached_property
    def shots(self) -> list[int]:
        """The groups, a search for the least before a training on the most that it may try."""
        groups = {result.shots_group for result in self.results}
        return sorted(groups, key=lambda shots: (int(shots), self.is_fixed(shots)))

    def at(self, shots: int) -> list[SeedResult]:
        """All results of a number of shots."""
        return [result for result in self.results if result.shots_group == shots]

    def is_fixed(self, shots: int) -> bool:
        """Whether the results of a number of shots learned from as many: none searched, or stopped at a target."""
        return is_fixed(self.at(shots))

    def shots_words(self, shots: int) -> str:
        """The title of a number of shots."""
        return shots_words(self.at(shots))

    def shots_label(self, shots: int) -> str:
        """The same for the place on an axis."""
        return shots_label(self.at(shots))

    def amount(self, shots: int) -> str:
        """What the results of a number of shots learned from, in a sentence."""
        return amount(self.at(shots))

    @property
    def tried(self) -> str:
        """The numbers of shots that were tried.

        As `16, 64`, or `16, 32, ... 1,024` for a search for the least; without those of trainings that stopped at a target.
        """
        fixed = [f"{shots:,}" for shots in self.shots if self.is_fixed(shots)]
        searches = [r.search for r in self.results if r.search]
        if not searches:
            return ", ".join(fixed)
        step, most = searches[0].step, searches[0].most
        return "; ".join(filter(None, (", ".join(fixed), f"{step:,}, {2 * step:,}, ... {most:,}")))

    @cached_property
    def seeds(self) -> list[int]:
        return sorted({result.seed for result in self.results})

    @cached_property
    def _groups(self) -> dict[tuple[str, int], dict[int, Path]]:
        """The folders of each group by seed."""
        groups: dict[tuple[str, int], dict[int, Path]] = {}
        for folder, result in sorted(self.by_folder.items(), key=lambda item: item[1].seed):
            groups.setdefault((self.variant_of(result), result.shots_group), {})[result.seed] = folder
        return groups

    def folders(self, variant: str, shots: int) -> dict[int, Path]:
        """The folders of a group's results by seed, in the order of the seeds."""
        return self._groups.get((variant, shots), {})

    def group(self, variant: str, shots: int) -> list[SeedResult]:
        """In the order of the seeds; empty if none is stored."""
        return [self.by_folder[folder] for folder in self.folders(variant, shots).values()]

    def values(self, variant: str, shots: int, figure: Callable[[SeedResult], Any]) -> list[Any]:
        return [figure(result) for result in self.group(variant, shots)]

    def complete_seeds(self, variant: str) -> list[int]:
        """Seeds with a result at every number of shots."""
        return sorted(set.intersection(*(set(self.folders(variant, n)) for n in self.shots)))

    def common_seeds(self, variants: Sequence[str], shots: int) -> list[int]:
        """Seeds that all the variants have at this number of shots."""
        return sorted(set.intersection(*(set(self.folders(v, shots)) for v in variants))) if variants else []

    @property
    def target(self) -> float:
        """The first target accuracy that all results answer for, or the default if there is none.

        A search answers for that which it searched for alone, and other results for every one unless `until` ended them.
        """
        bound = [targets_of(r) for r in self.results if r.search or r.options.until is not None]
        targets = bound or [targets_of(r)[:1] for r in self.results]
        return next((t for t in targets[0] if all(t in each for each in targets)), DEFAULT_TARGET)

    @property
    def notes(self) -> list[tuple[str, str]]:
        """(variants, note), from the first result of each variant that has notes; no variants: a note on all."""
        by_variant: dict[str, list[str]] = {}
        for result in self.results:
            if result.notes:
                by_variant.setdefault(self.variant_of(result), result.notes)
        by_note: dict[str, list[str]] = {}
        for variant, notes in by_variant.items():
            for note in dict.fromkeys(notes):
                by_note.setdefault(note, []).append(variant)
        n = len(self.variants)
        return [("" if len(of) == n > 1 else ", ".join(of), note) for note, of in by_note.items()]

    @property
    def made_by(self) -> list[str]:
        """Version, commit and hash of each version of contsym's code that made results.

        The hash is of what a strategy imports, so that two strategies have two hashes of one version: then the commit
        tells versions apart.
        """
        versions: list[tuple[tuple[str, str | None], dict[str, str]]] = []
        for result in self.results:
            name = result.versions.get("contsym", "?"), result.git_commit
            code = result.code_sha256
            for other, codes in versions:
                if code in codes.values() or (name == other and codes.get(result.strategy, code) == code):
                    codes[result.strategy] = code
                    break
            else:
                versions.append((name, {result.strategy: code}))
        shown = []
        for (version, commit), codes in versions:
            code = next(iter(codes.values()))
            parts = (version, commit and f"commit {commit[:8]}", f"code {code[:8]}")
            shown.append(" ".join(filter(None, parts)))
        return shown

    def train_pairs(self, task: str) -> list[int]:
        """The numbers of training pairs of an experience; several if they depend on the shots."""
        return sorted({result.sources[task].rows.train for result in self.results})

    @property
    def plugins(self) -> dict[str, list[str]]:
        """Origin and SHA-256 of each plug-in; several if it was edited between results."""
        origins: dict[str, set[str]] = {}
        for p in (plugin for result in self.results for plugin in result.plugins):
            origins.setdefault(f"plug-in {p.kind} {p.name}", set()).add(f"{p.origin} (SHA-256 {p.sha256})")
        return {name: sorted(each) for name, each in origins.items()}

    @property
    def is_of_paper(self) -> bool:
        """Whether the tasks, their relations, and at least one of the methods are the paper's."""
        return are_of_paper(self.results)

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """What each reading says of the paper's table; empty for other tasks or relations."""
        return readings_of(self.readings) if self.is_of_paper else []

    def units(self, task: str | None = None) -> str:
        """The word for the items of a task, or of all: `pairs` or `texts`, and `examples` where tasks have both."""
        sources = [self.first.sources[task]] if task else self.first.sources.values()
        inputs = {source.inputs for source in sources}
        return {"pair": "pairs", "single": "texts"}[inputs.pop()] if len(inputs) == 1 else "examples"

    @property
    def seeds_text(self) -> str:
        """For captions: `1 seed`, `3 seeds`, or `up to 3 seeds` if some groups have fewer."""
        n = len(self.seeds)
        is_complete = all(len(self.folders(v, s)) == n for v in self.variants for s in self.shots)
        return f"{'' if is_complete else 'up to '}{n} seed{'s' * (n > 1)}"

    @property
    def n_missing(self) -> int:
        return self.n_planned - self.n_done - len(self.failures)


def title_of(task: str) -> str:
    return own_tasks()[task].words if task in own_tasks() else task


def collect(output: Path, names: Sequence[str]) -> Collected:
    """The results of these runs or of this sweep; without names, of the latest sweep.

    A name is that of a sweep or a run, its id, the first letters of either, or the folder of a sweep, a run or a
    result; for one order of a sweep, `NAME:ORDER`. Raises ContsymError if a name is not found, if no result is
    stored, and if the results are on different data.
    """
    skip = Skipped()
    if not names:
        runs = stored_runs(output, skip)
        if runs and not any(run.is_sweep for run in runs):
            raise ContsymError(
                f"--output {output}: no sweep there; name the runs to report on, as contsym report {runs[0].name}"
            )
        return of_run(latest_sweep(output, skip), skip=skip)
    targets = [_find(name, output, skip) for name in names]
    if len(targets) == 1 and isinstance(targets[0][0], StoredRun):
        return of_run(targets[0][0], targets[0][1], skip)
    folders: list[Path] = []
    for target, order in targets:
        if isinstance(target, Path):
            folders.append(target)
        elif target.is_sweep:
            raise SettingError(f"{' '.join(names)}: expected one sweep or several runs, not both")
        else:
            one = in_order(target, order)
            if not (done := one.done()):
                raise _unfinished(one, {})
            folders += done.values()
    return of_folders(folders, skip)


def _find(name: str, output: Path, skip: Skip) -> tuple[StoredRun | Path, str]:
    """The run or result with this name, and the order of its experiences, which follows a colon."""
    without_order, _, order = name.partition(":")
    target = find(name, output, skip) or find(without_order, output, skip)
    if target is None:
        raise nothing_there(without_order, output, skip, takes_rows=False)
    return target, order if isinstance(target, StoredRun) else ""


def of_run(run: StoredRun, order: str = "", skip: Skip = tell_skipped) -> Collected:
    """The stored results of a run or sweep in one order, in the order of its cells."""
    whole, run = run, in_order(run, order)
    failures, planned = run.failures(skip), {cell.key for cell in run.cells}
    readings = run.results_by_reading(skip)
    first = next((part for part in run.parts().values() if part.n_done), run)
    by_folder = store.read_readable(first.done().values(), skip)
    if not by_folder:
        raise _unfinished(run, failures)
    done = {r.key for each in readings.values() for r in each} or {r.key for r in by_folder.values()}
    selections: list[Selection] = []
    if run.config.select:
        # By the results of all orders, as the answer of the sweep has it.
        selections = select(whole.results(Skipped()) if order else list(by_folder.values()), run.varied)
        kept = {r.key for each in selections for r in each.results}
        by_folder = {folder: result for folder, result in by_folder.items() if result.key in kept}
        planned, done = planned - (done - kept), done & kept
        if not by_folder:
            raise ContsymError(
                f"{run.name}: no seed and number of shots is done with every setting yet, so none can be chosen; "
                "contsym sweep --resume resumes it"
            )
    name = "-".join([run.name, *order.split(",")]) if order else run.name
    check_comparable(list(by_folder.values()))
    return Collected(
        name,
        by_folder,
        sweep=first if run.is_sweep else None,
        failures=failures,
        n_planned=len(planned),
        n_done=len(done),
        selections=selections,
        readings=readings,
        run=whole,
    )


def in_order(run: StoredRun, order: str) -> StoredRun:
    """The cells of one order of the run's scenario. Raises ContsymError where it is not said which of several."""
    base, scenarios = run.config.scenario, run.scenarios
    scenario = f"{base}:{order}" if order else base
    if len(scenarios) <= 1 and not order:
        return run
    if scenario not in scenarios:
        orders = " or ".join(f"{run.id}:{s.rpartition(':')[2]}" for s in scenarios)
        expected = f"expected {orders}" if len(scenarios) > 1 else f"expected it without ':{order}'"
        raise ContsymError(f"{run.name}: a report is of one order of {base}; {expected}")
    return replace(run, cells=tuple(c for c in run.cells if c.scenario == scenario))


def _unfinished(run: StoredRun, failures: Mapping[str, Any]) -> ContsymError:
    how = "contsym sweep --resume resumes it" if run.is_sweep else "the same command resumes it"
    return ContsymError(
        f"{run.name}: none of its {len(run.cells)} cells is finished ({len(failures)} failed); {how}"
    )


def of_folders(folders: Sequence[Path], skip: Skip = tell_skipped) -> Collected:
    """The results in these folders, in their order. Raises ContsymError if none can be read."""
    results = store.read_readable(folders, skip)
    by_folder = {path.resolve(): result for path, result in results.items()}
    joined = "+".join(sorted(result.key for result in by_folder.values()))
    name = f"results-{hashlib.sha256(joined.encode()).hexdigest()[:12]}"
    check_comparable(list(by_folder.values()))
    return Collected(name, by_folder, n_planned=len(by_folder), n_done=len(by_folder))
