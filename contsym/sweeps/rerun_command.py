"""The command that makes stored results again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.config import DEFAULT_OUTPUT, CellOptions, RunConfig
from contsym.data.sources import BUNDLED
from contsym.sweeps.config import SweepConfig, shots_text
from contsym.tasks.schema import FIRST
from contsym.training.reproduce import config_of

if TYPE_CHECKING:
    from contsym.results.schema import SeedResult
    from contsym.sweeps.schema import StoredSettings


OPTIONS = tuple(
    each.name
    for each in fields(CellOptions)
    if each.name not in ("sources", "sizes", "pretrain", "plugins", "output")
    and each.type not in ("bool", bool)
)
"""Options with one value, by the names of their fields; the others are written in another way."""


def sweep_command(config: SweepConfig | StoredSettings, output: Path) -> str:
    r"""The command of a sweep, without the options that have their default; its readings need its file.

    >>> config = SweepConfig(("knn_fixed",), "wikidata_only", (8, 16), seeds=(4,))
    >>> print(sweep_command(config, config.output))
    contsym sweep \
      --strategies knn_fixed \
      --scenario wikidata_only \
      --shots 8,16 \
      --seeds 4-4
    """
    words = ["contsym", "sweep", "--strategies", ",".join(config.strategies), "--scenario", config.scenario]
    words += ["--shots", ",".join(map(shots_text, config.shots))]
    words += ["--seeds", _seeds_text(config.seeds)]
    for name, values in config.settings.items():
        words += ["--set", f"{name}={','.join(values)}"]
    words += ["--select", config.select] if config.select else []
    words += _shared_options(config, SweepConfig)
    if str(output) != DEFAULT_OUTPUT:
        words += ["--output", str(output)]
    if config.readings:
        words += ["--config", "FILE-WITH-ITS-READINGS.toml"]
    return in_lines(words)


def run_commands(results: Iterable[SeedResult]) -> list[str]:
    """One command per run; cells of a sweep that differ only in the seed share one."""
    seeds: dict[str, list[int]] = {}
    configs: dict[str, RunConfig] = {}
    for result in results:
        sources = {source.task: source.name for source in result.sources.values()}
        bundled = {name for name, data in BUNDLED.items() if data.name == sources.get(name)}
        config = config_of(
            result,
            seeds=(0,),
            sources={task: name for task, name in sources.items() if task not in bundled},
            device=result.device,
            precision=result.precision,
        )
        seeds.setdefault(repr(config), []).append(result.seed)
        configs[repr(config)] = config
    return [_run_command(config, seeds[key]) for key, config in configs.items()]


def _run_command(config: RunConfig, seeds: Iterable[int]) -> str:
    words = ["contsym", "run", "--strategy", config.strategy, "--scenario", config.scenario]
    words += [] if config.shots is None else ["--shots", str(config.shots)]
    words += ["--seeds", _seeds_text(list(seeds))]
    for name, value in config.settings.items():
        words += ["--set", f"{name}={value}"]
    return in_lines(words + _shared_options(config, RunConfig))


def _shared_options(
    config: RunConfig | SweepConfig | StoredSettings, kind: type[RunConfig] | type[SweepConfig]
) -> list[str]:
    """The options that runs and sweeps share, where they do not have their default.

    A stored run has an encoder and a protocol, so the command names both, whatever the defaults will be then.
    """
    words: list[str] = []
    for task, source in config.sources.items():
        words += [f"--{task}", source] if task in FIRST else ["--task", f"{task}={source}"]
    for task, size in config.sizes.items():
        words += [f"--{task}-size", str(size)] if task in FIRST else ["--size", f"{task}={size}"]
    defaults = {field.name: field.default for field in fields(kind)}
    for name in OPTIONS:
        if (value := getattr(config, name)) != defaults[name]:
            words += [f"--{name.replace('_', '-')}", str(value)]
    for name, value in config.pretrain.items():
        words += ["--pretrain", f"{name}={value}"]
    for plugin in config.plugins:
        words += ["--plugin", plugin]
    if config.one_pass:
        words.append("--one-pass")
    if config.curve != defaults["curve"]:
        words.append("--curve" if config.curve else "--no-curve")
    if config.relearn:
        words.append("--relearn")
    if not config.audit:
        words.append("--no-audit")
    if config.save_models:
        words.append("--save-model")
    return words


def in_lines(words: list[str]) -> str:
    r"""A command quoted for a shell, with one option per line.

    >>> print(in_lines(["contsym", "run", "--mnli", "my data", "--no-curve"]))
    contsym run \
      --mnli 'my data' \
      --no-curve
    """
    lines: list[list[str]] = [[]]
    for word in words:
        if word.startswith("--"):
            lines.append([])
        lines[-1].append(word)
    return " \\\n  ".join(map(shlex.join, lines))


def _seeds_text(seeds: Sequence[int]) -> str:
    # A single number would be a count of seeds.
    return f"{seeds[0]}-{seeds[0]}" if len(seeds) == 1 else ",".join(map(str, seeds))
