"""`contsym.run`, `contsym.sweep`, `contsym.load` and `contsym.diff`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import Any

from contsym.api import inputs
from contsym.api.progress import Bars, default_progress
from contsym.api.results import Run, Sweep, experiment_of
from contsym.api.running import QuietRun, failed_cells, make_run
from contsym.api.sweeping import Engine, QuietSweep, make_sweep
from contsym.checked import tell_skipped
from contsym.config import (
    DEFAULT_OUTPUT,
    CellOptions,
    Precision,
    RunConfig,
    Shots,
    of_kind,
    several,
    whole_number,
)
from contsym.data.pair_rows import PairSource
from contsym.data.schema import Form
from contsym.differences.run import diff as compare_checkpoints
from contsym.differences.schema import Diff
from contsym.errors import ContsymError, SettingError, nearest
from contsym.files import home_path
from contsym.plugins import read as read_plugins
from contsym.sweeps.config import SweepConfig
from contsym.sweeps.find import find, nothing_there
from contsym.training.progress import Progress
from contsym.training.trained_file import table_rows

OPTIONS = [f.name for f in fields(CellOptions) if f.name not in ("sources", "sizes", "output")]

Name = str | type
"""A strategy: its name, or its class."""

_DIFF_KINDS: dict[str, Any] = {
    "form": Form,
    "limit": int,
    "seed": int,
    "put_back": bool,
    "precision": Precision,
}
"""Options of `diff` by their type."""


def run(
    strategy: Name,
    scenario: str | Path | Mapping[str, Any] = "mnli_then_wikidata",
    *,
    shots: Shots = None,
    seeds: int | Iterable[int] = 1,
    settings: Any = None,
    save_models: bool = False,
    output: str | Path = DEFAULT_OUTPUT,
    tracking_uri: str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Run:
    """Train a strategy through a scenario, as `contsym run` does; what is stored in `output` is not trained again.

    Args:
        strategy: A name of `contsym list strategies`, or a subclass of `contsym.Strategy`, also one of a notebook's cell.
        scenario: A name of `contsym list scenarios`, a TOML file, or a dict with the entries of such a file.
        shots: Training examples per experience of a few-shot task, as Wikidata; "least" for the fewest that reach the
            target; None: all.
        seeds: A number of seeds, as 3 for 0, 1 and 2, or the seeds themselves; one result each.
        settings: Hyper-parameters by name, or a `Settings` object of the strategy.
        save_models: Whether to store the trained model of each seed, for `Run.model(seed)`.
        output: The folder of the results.
        tracking_uri: Of an MLflow server; None: a database in `output`.
        progress: An object with `phase(description, total)` and `advance(loss)`; None: bars in a notebook or terminal.
        options: Those of `contsym run` with _ for -, as `encoder`, `protocol` or `one_pass=True`. Data are given by task,
            as `wikidata=` a path, a DataFrame, a `datasets.Dataset`, a list of dicts, or a dict of such tables by part,
            and `mnli_size=1200`.

    Raises ContsymError, in one line, for whatever the caller can mend.

    >>> run("zero_shoot")
    Traceback (most recent call last):
    ...
    contsym.errors.ContsymError: strategy 'zero_shoot' is unknown; did you mean zero_shot? (contsym list)
    """
    folder = home_path(output)
    name, plugins = inputs.strategy(strategy, folder)
    config = RunConfig(
        strategy=name,
        scenario=inputs.scenario(scenario, folder),
        shots=shots,
        seeds=inputs.seeds(seeds),
        settings=inputs.settings_of(settings),
        save_models=save_models,
        output=folder,
        tracking_uri=tracking_uri,
        **_options(run, options, plugins, folder),
    )
    made = make_run(config, QuietRun(progress or default_progress()))
    _tell(made.warning)
    return Run(made.stored)


def sweep(
    strategies: Name | Sequence[Name],
    scenario: str | Path | Mapping[str, Any] = "mnli_then_wikidata",
    *,
    shots: Shots | Sequence[Shots] = (None,),
    seeds: int | Iterable[int] = 3,
    settings: Mapping[str, Sequence[Any]] | None = None,
    jobs: int = 1,
    output: str | Path = DEFAULT_OUTPUT,
    tracking_uri: str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Sweep:
    """Run strategies x shots x settings x seeds, as `contsym sweep` does, with `jobs` cells at a time in processes.

    `settings` has the values to try of each hyper-parameter, as {"k": [1, 3, 5]}; a lone value, strategy or number of shots
    needs no list. The other arguments are those of `run`; `curve` is off, `select="validation"` keeps the best setting of
    each strategy in reports, and `readings` are dicts with the entries of a [[reading]] of a sweep file.

    Raises ContsymError for whatever the caller can mend, and, at the end, for cells that failed; finished ones are stored.
    """
    folder = home_path(output)
    named = [inputs.strategy(each, folder) for each in several(strategies)]
    plugins = tuple(file for _, files in named for file in files)
    chosen = _options(sweep, options, plugins, folder, "select", "readings", "screen")
    if "readings" in chosen:
        chosen["readings"] = inputs.readings(chosen["readings"])
    engine = Engine(jobs=whole_number("jobs", jobs))
    config = SweepConfig(
        strategies=tuple(name for name, _ in named),
        scenario=inputs.scenario(scenario, folder),
        shots=several(shots),
        seeds=inputs.seeds(seeds),
        settings=inputs.settings_of(settings),
        output=folder,
        **chosen,
    )
    viewer = QuietSweep(progress or default_progress())
    made = make_sweep(config, engine, tracking_uri, viewer)
    _tell(made.warning)
    if made.failed:
        raise failed_cells(made.failed, made.stored)
    return Sweep(made.stored)


def load(name: str | Path, output: str | Path = DEFAULT_OUTPUT) -> Run | Sweep:
    """A stored run or sweep by its name, its id, the first letters of either, or its folder.

    Raises ContsymError if it is not there or has no result yet.
    """
    named, folder = os.path.expanduser(name), home_path(output)
    found = find(named, folder)
    if found is None:
        raise nothing_there(named, folder, tell_skipped, takes_rows=False)
    if isinstance(found, Path):
        raise ContsymError(
            f"{name}: the folder of one result; expected a run or a sweep, as contsym runs lists them"
        )
    return experiment_of(found)


def diff(
    old: str | Path,
    new: str | Path,
    tasks: Mapping[str, PairSource] | None = None,
    *,
    progress: Progress | None = None,
    **options: Any,
) -> Diff:
    """Which abilities two checkpoints have, and where in the network they differ, as `contsym diff` does.

    Args:
        old: A folder, a Hub id or a preset of an encoder or classifier.
        new: The same.
        tasks: More abilities beside the bundled ones, or other sources for these: by a task's name a source as of
            `--mnli`, by any other name a file of labelled pairs, a DataFrame, a `datasets.Dataset` or dicts.
        progress: As in `run`.
        options: Those of `contsym diff` with _ for -: `form`, `limit`, `seed`, `put_back`, `device`, `precision`, and
            `plugins` for the files of strategies that are not contsym's own.

    Raises ContsymError, in one line, for whatever the caller can mend.

    >>> diff("minilm", "minilm-nli", limit=0)
    Traceback (most recent call last):
    ...
    contsym.errors.SettingError: --limit 0, --seed 0: expected a limit of at least 1 and a seed of at least 0
    """
    known = (*_DIFF_KINDS, "device", "plugins")
    if unknown := [name for name in options if name not in known]:
        raise SettingError(f"option {unknown[0]!r} is unknown; {nearest(unknown[0], known)}")
    if tasks is not None and not isinstance(tasks, Mapping):
        raise SettingError(f"tasks: {type(tasks).__name__}; expected a dict by the name of a task")
    sources = {name: _pairs(name, source) for name, source in (tasks or {}).items()}
    chosen = {name: value for name, value in options.items() if value is not None}
    named = read_plugins(several(chosen.pop("plugins", ())))
    chosen |= {
        name: of_kind(name, kind, chosen[name]) for name, kind in _DIFF_KINDS.items() if name in chosen
    }
    shown = progress or default_progress()
    try:
        return compare_checkpoints(old, new, sources, plugins=named, progress=shown, **chosen)
    finally:
        if isinstance(shown, Bars):
            shown.close()


def _pairs(task: str, source: PairSource) -> PairSource:
    """A source of pairs; of a table its rows."""
    if (rows := table_rows(source)) is not None:
        return rows
    if isinstance(source, Mapping) or not isinstance(source, Iterable | Path):
        raise SettingError(
            f"{task}: {type(source).__name__}; expected a path, a DataFrame, or a list of dicts"
        )
    return source


def _options(
    function: Callable[..., Any],
    given: Mapping[str, Any],
    plugins: tuple[str, ...],
    output: Path,
    *more: str,
) -> dict[str, Any]:
    parameters = signature(function).parameters.values()
    arguments = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]
    options = inputs.config_options(given, [*OPTIONS, *more], output, arguments)
    return {**options, "plugins": (*several(options.get("plugins", ())), *plugins)}


def _tell(warning: str | None) -> None:
    import warnings

    if warning:
        warnings.warn(warning, stacklevel=3)
