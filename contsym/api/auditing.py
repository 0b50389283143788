"""The audit of training for stored results: each seed is audited once, and the verdicts are over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from contsym.api.frames import RowOf, plain_row
from contsym.checked import Skip, tell_skipped
from contsym.data.rules import Rules
from contsym.errors import SettingError
from contsym.plugins import Plugins
from contsym.results import store
from contsym.results.schema import SeedResult
from contsym.results.training_audit import Audited, TrainingAudit, judge, read_audit, write_audit
from contsym.sweeps.find import find, find_row, is_row, no_result_yet, nothing_there
from contsym.training.audit import Scored, audit_seed, check_audit
from contsym.training.progress import Progress


def results_of(name: str, output: Path, skip: Skip = tell_skipped) -> tuple[Mapping[Path, SeedResult], RowOf]:
    """The results of a run, a sweep, one row of it, or a folder, by folder, and the row of each.

    Raises ContsymError where there are none.
    """
    if is_row(name):
        row = find_row(name, output, skip)
        return {folder: row.results[seed] for seed, folder in row.folders.items()}, plain_row
    target = find(name, output, skip)
    if target is None:
        raise nothing_there(name, output, skip)
    if isinstance(target, Path):
        return store.read_readable([target], skip), plain_row
    if not target.n_done:
        raise no_result_yet(name, target)
    return store.read_readable(target.done().values(), skip), target.row_of


def audit_results(
    results: Mapping[Path, SeedResult],
    output: Path,
    row_of: RowOf,
    *,
    rules: Rules,
    plugins: Plugins,
    progress: Progress,
    device: str = "auto",
) -> dict[str, Audited]:
    """Audit the saved model of each result, or read its audit where the same rules were asked; by row and shots.

    Raises ContsymError before anything is loaded where a result cannot be audited or has no saved model.
    """
    for folder, result in results.items():
        check_audit(result, str(folder))
        if not (folder / store.MODEL).is_dir() and read_audit(folder) is None:
            raise SettingError(
                f"{result.strategy}, seed {result.seed}: no saved model; the same command with --save-model trains it "
                "again and stores one"
            )
    groups: dict[str, list[TrainingAudit]] = {}
    starts: dict[tuple[str, ...], Scored] = {}
    for folder, result in results.items():
        audit = read_audit(folder)
        if audit is None or audit.sources != rules.sources:
            audit = audit_seed(folder, output, rules, progress, plugins, device, starts)
            write_audit(folder, audit)
        row, n_shots = row_of(result)
        shots = "least" if result.search else f"{n_shots:,}"
        groups.setdefault(f"{row}, {shots} shots", []).append(audit)
    return {name: judge(audits) for name, audits in groups.items()}
