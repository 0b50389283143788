"""A stored run repeated from its record, and the new result compared with the stored one.

On the same machine, with the same versions and number of threads, a result is the same to the bit, so any
difference is an error. Elsewhere floats are added in another order, and training makes the difference grow: there
the accuracies are compared within a stated tolerance.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contsym.checked import read_tensors
from contsym.config import DEFAULT_TARGET, LEAST, RunConfig
from contsym.data.sources import BUNDLED
from contsym.errors import ContsymError
from contsym.results import store
from contsym.results.equality import differing as differing_entries
from contsym.results.mlflow_records import encoder_of
from contsym.results.predictions import read_rows
from contsym.results.schema import SeedResult, StoredSource
from contsym.tasks.schema import option_of

if TYPE_CHECKING:
    from contsym.training.plan import Plan
    from contsym.training.progress import Progress


TOLERANCE = 0.05
"""Largest difference of an accuracy that counts as the same result on another machine or in another precision."""

SHOWN = 3


@dataclass(frozen=True)
class Repeated:
    """A seed, stored and done again."""

    seed: int
    differing: Sequence[str]
    """Names of what is not the same to the bit; empty where all is."""
    elsewhere: Mapping[str, tuple[object, object]]
    """What was not the same beforehand: (stored, here) by name, as `versions torch` or `precision`."""
    largest: float
    """Largest difference of an entry of the accuracy matrix."""
    agreement: float
    """Share of test pairs that were answered alike after the last experience."""
    tolerance: float

    @property
    def verdict(self) -> str:
        """`equal`, `within tolerance` or `different`."""
        if not self.differing:
            return "equal"
        # Where nothing was different beforehand, nothing may be afterwards.
        is_near = bool(self.elsewhere) and self.largest <= self.tolerance
        return "within tolerance" if is_near else "different"

    def lines(self) -> list[str]:
        """For people: the verdict and its reasons."""
        verdict = {
            "equal": "equal to the bit",
            "within tolerance": f"within the tolerance of {self.tolerance:g}",
            "different": "DIFFERENT",
        }[self.verdict]
        found = [f"seed {self.seed}: {verdict}"]
        if self.differing:
            more = f" and {len(self.differing) - SHOWN} more" if len(self.differing) > SHOWN else ""
            found.append(
                f"  largest difference of an accuracy {self.largest:.4f}; {self.agreement:.2%} of the final "
                f"answers alike; not the same: {', '.join(self.differing[:SHOWN])}{more}"
            )
        found += [f"  {name}: {stored} then, {here} here" for name, (stored, here) in self.elsewhere.items()]
        if self.verdict == "different" and not self.elsewhere:
            found.append("  machine, versions, threads and precision are the same: this should not happen")
        return found

    def as_plain(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "verdict": self.verdict,
            "differing": list(self.differing),
            "elsewhere": {name: list(both) for name, both in self.elsewhere.items()},
            "largest_accuracy_difference": self.largest,
            "agreement": self.agreement,
            "tolerance": self.tolerance,
        }


def config_of(result: SeedResult, **changes: Any) -> RunConfig:
    """The config that a stored result was made with, of its seed alone; `changes` replace fields."""
    options = result.options
    asked = result.asked
    sources = {source.task: _spec(source) for source in result.sources.values()}
    plugins = [plugin.origin for plugin in result.plugins]
    chosen = {name: value for part in (options, asked) for name, value in part}
    chosen |= {
        "strategy": result.strategy,
        "scenario": result.scenario_file or result.scenario,
        "encoder": encoder_of(result),
        # A branch may have moved since: a source from the Hub is named with its commit.
        "sources": {
            name: sources.get(name, spec) if spec.startswith("hub") else spec
            for name, spec in asked.sources.items()
        },
        "sizes": {task: size for task, size in options.sizes.items() if size is not None},
        "seeds": (result.seed,),
        "settings": result.set,
        "plugins": tuple(origin for origin in plugins if Path(origin).suffix in (".py", ".toml")),
    }
    if options.shots == LEAST and options.until is not None:
        # Stored, but for nothing: the search was for the other.
        chosen["target"] = DEFAULT_TARGET
    return RunConfig(**{**chosen, **changes})


def _spec(source: StoredSource) -> str:
    """What stands for a source on the command line."""
    bundled = [spec for spec in BUNDLED.values() if spec.name == source.name]
    return "bundled" if bundled else source.name


def repeat(
    folder: Path,
    result: SeedResult,
    progress: Progress,
    *,
    tolerance: float = TOLERANCE,
    sources: Mapping[str, str] | None = None,
    device: str | None = None,
    precision: str | None = None,
) -> Repeated:
    """Repeat a stored seed without any cached state, and compare.

    `sources` say where data are now. Raises ContsymError where it cannot be repeated: the data,
    the encoder or a plug-in are gone or are others than those of the record.
    """
    from contsym.training.plan import prepare
    from contsym.training.run import run_seed

    changes: dict[str, Any] = {"device": device, "precision": precision}
    changes = {name: value for name, value in changes.items() if value is not None}
    with tempfile.TemporaryDirectory(prefix="contsym-", ignore_cleanup_errors=True) as output:
        config = config_of(result, **changes, output=Path(output))
        moved = {**config.sources, **(sources or {})}
        plan = prepare(replace(config, sources=moved))
        check_same_inputs(plan, result)
        found, predictions, tensors = run_seed(plan, result.seed, progress)
        elsewhere = _elsewhere(result, found)
    _, stored_rows = read_rows(folder)
    differing = differing_entries(result, found)
    if stored_rows != [{name: str(value) for name, value in row.items()} for row in predictions]:
        differing.append("predictions")
    differing += _differing_tensors(folder, tensors)
    pairs = zip(*(itertools.chain(*each.matrix) for each in (result, found)), strict=True)
    return Repeated(
        seed=result.seed,
        differing=differing,
        elsewhere=elsewhere,
        largest=max(abs(a - b) for a, b in pairs),
        agreement=_agreement(stored_rows, predictions),
        tolerance=tolerance,
    )


def check_same_inputs(plan: Plan, result: SeedResult) -> None:
    """Raises ContsymError where the experiences, the data, the encoder or a plug-in are not those of the record."""
    from contsym.training.keys import encoder_facts

    experiences = json.loads(json.dumps(plan.scenario.as_stored))
    now = [task.name for task in plan.tasks], experiences, plan.scenario.mode
    if now != (result.tasks, result.experiences, result.label_space):
        raise ContsymError(
            f"scenario {result.scenario_file or result.scenario}: its experiences have changed since the run was stored; "
            f"expected those that it had: {', '.join(result.tasks)}"
        )
    for task in plan.tasks:
        stored = result.sources[task.name].fingerprint
        if task.fingerprint != stored:
            raise ContsymError(
                f"{option_of(task.task, task.source)}: the data have changed (SHA-256 {task.fingerprint[:12]}, the stored "
                f"run had {stored[:12]}); expected the data that it was made with, as {option_of(task.task, 'PATH')}"
            )
    stored_encoder, encoder = result.encoder_weights, encoder_facts(plan)
    for what, here, there in (
        ("weights", encoder["weights"], stored_encoder.sha256),
        ("tokenizer or configuration", encoder["text_files"], stored_encoder.text_files_sha256),
    ):
        if here != there:
            raise ContsymError(
                f"encoder {plan.encoder.name}: other {what} (SHA-256 {str(here)[:12]}, the stored run had "
                f"{str(there)[:12]}); expected the checkpoint that it was made with"
            )
    pooling = plan.pooling.facts()
    if pooling != result.pooling:
        raise ContsymError(
            f"encoder {plan.encoder.name}: other pooling ({pooling.words}; the stored run had "
            f"{result.pooling.words}); expected the folder that it was made with"
        )
    stored_plugins = {plugin.name: plugin.sha256 for plugin in result.plugins}
    for plugin in plan.plugins.of_run(plan.config.strategy, plan.config.scenario, plan.scenario.tasks):
        if plugin.sha256 != stored_plugins.get(plugin.name):
            raise ContsymError(
                f"plug-in {plugin.origin}: the file has changed since the run was stored; expected the one with "
                f"SHA-256 {stored_plugins.get(plugin.name, 'none')[:12]}"
            )


def _elsewhere(stored: SeedResult, found: SeedResult) -> dict[str, tuple[object, object]]:
    """What of machine, versions, code and precision is not as it was."""
    unknown = "not recorded"
    names = ("device", "precision", "threads", "platform", "processor")
    facts: dict[str, tuple[object, object]] = {
        name: (getattr(stored, name), getattr(found, name)) for name in names
    }
    for name in found.versions:
        facts[f"version of {name}"] = (stored.versions.get(name, unknown), found.versions[name])
    differing = {name: both for name, both in facts.items() if both[0] != both[1]}
    if stored.code_sha256 != found.code_sha256:
        commits = (stored.git_commit or unknown, found.git_commit or "outside of a checkout")
        differing["code of contsym"] = commits
    return differing


def _differing_tensors(folder: Path, tensors: Mapping[str, Any]) -> list[str]:
    path = folder / store.TENSORS
    if not path.is_file():
        return ["stored tensors"] if tensors else []
    stored = read_tensors(path)
    names = [f"tensor {name}" for name in sorted(stored.keys() ^ tensors.keys())]
    both = [name for name in tensors if name in stored]
    return names + [f"tensor {name}" for name in both if not _is_same(stored[name], tensors[name])]


def _is_same(a: Any, b: Any) -> bool:
    """Equal to the bit, NaN included."""
    import torch

    return (
        a.shape == b.shape
        and a.dtype == b.dtype
        and torch.equal(
            a.contiguous().flatten().view(torch.uint8), b.cpu().contiguous().flatten().view(torch.uint8)
        )
    )


def _agreement(stored: Sequence[Mapping[str, str]], found: Sequence[Mapping[str, object]]) -> float:
    """Share of test pairs with the same last answer; the pairs are the same, as the data are."""
    last = list(found[0])[-1]
    alike = [a.get(last) == b[last] for a, b in zip(stored, found, strict=False)]
    return sum(alike) / max(len(found), 1)
