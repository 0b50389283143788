"""How results came about: what they shared, and the command that makes them again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.config import DEFAULT_OUTPUT
from contsym.data.sources import BUNDLED
from contsym.report.collect import Collected
from contsym.results.mlflow_records import encoder_of
from contsym.results.schema import SeedResult
from contsym.sweep.config import SweepConfig

if TYPE_CHECKING:
    from contsym.sweep.schema import SweepSettings


DEFAULTS = {field.name: field.default for field in fields(SweepConfig)}


def commands(collected: Collected) -> list[str]:
    """What to type to have the same results again, quoted for a shell; one line, or one for each run."""
    if collected.sweep:
        return [sweep_command(collected.sweep.config, collected.sweep.output)]
    return run_commands(collected)


def sweep_command(config: SweepConfig | SweepSettings, output: Path) -> str:
    r"""What was typed, or would have been: options that have their default are left out.

    >>> asked = SweepConfig(("knn_fixed",), "wikidata_only", (8, 16), seeds=(4,))
    >>> print(sweep_command(asked, asked.output))
    contsym sweep \
      --strategies knn_fixed \
      --scenario wikidata_only \
      --shots 8,16 \
      --seeds 4-4
    """
    words = ["contsym", "sweep", "--strategies", ",".join(config.strategies), "--scenario", config.scenario]
    words += ["--shots", _numbers(config.shots)]
    # A lone number would be a count of seeds.
    words += [
        "--seeds",
        f"{config.seeds[0]}-{config.seeds[0]}" if len(config.seeds) == 1 else _numbers(config.seeds),
    ]
    for name, values in config.settings.items():
        words += ["--set", f"{name}={','.join(values)}"]
    for task, source in config.sources.items():
        words += [f"--{task}", source]
    for task, size in config.sizes.items():
        words += [f"--{task}-size", str(size)]
    names = (
        "encoder",
        "pooling",
        "form",
        "split",
        "label_noise",
        "protocol",
        "device",
        "precision",
        "target",
    )
    for name in names:
        if getattr(config, name) != DEFAULTS[name]:
            words += [f"--{name.replace('_', '-')}", str(getattr(config, name))]
    for name, value in config.pretrain.items():
        words += ["--pretrain", f"{name}={value}"]
    for plugin in config.plugins:
        words += ["--plugin", plugin]
    if config.curve:
        words.append("--curve")
    if not config.audit:
        words.append("--no-audit")
    if str(output) != DEFAULT_OUTPUT:
        words += ["--output", str(output)]
    return in_lines(words)


def run_commands(collected: Collected) -> list[str]:
    """One command for each run; the seeds that are stored."""
    runs: dict[str, list[SeedResult]] = {}
    for stored in collected.stored:
        # Cells of a sweep have a run's name each of their own; put together what only differs in the seed.
        result = stored.result
        names = ("strategy", "scenario", "encoder", "options", "device", "precision", "set")
        key = repr([getattr(result, name) for name in names])
        runs.setdefault(key, []).append(result)
    found = []
    for results in runs.values():
        first, options = results[0], results[0].options
        words = [
            "contsym",
            "run",
            "--strategy",
            first.strategy,
            "--scenario",
            first.scenario_file or first.scenario,
        ]
        words += ["--encoder", encoder_of(first)]
        words += ["--pooling", options.pooling] if options.pooling != DEFAULTS["pooling"] else []
        if options.shots is not None:
            words += ["--shots", str(options.shots)]
        words += ["--seeds", _numbers(result.seed for result in results)]
        for name, value in first.set.items():
            words += ["--set", f"{name}={value}"]
        for task, source in {source.task: source for source in first.sources.values()}.items():
            if task not in BUNDLED or source.name != BUNDLED[task].name:
                words += [f"--{task}", source.name]
            if (size := options.sizes.get(task)) is not None:
                words += [f"--{task}-size", str(size)]
        words += ["--form", options.form] if options.form != DEFAULTS["form"] else []
        words += ["--split", options.split] if options.split else []
        words += ["--protocol", "retrain"] if options.protocol == "retrain" else []
        for name, value in options.pretrain.items():
            words += ["--pretrain", f"{name}={value}"]
        for plugin in first.plugins:
            # An installed one is found by itself.
            words += ["--plugin", plugin.origin] if plugin.origin.endswith((".py", ".toml")) else []
        noise = options.label_noise
        words += [] if noise is None else ["--label-noise", str(noise)]
        words += ["--target", str(options.target)] if options.target != DEFAULTS["target"] else []
        words += [] if options.curve else ["--no-curve"]
        words += ["--device", first.device, "--precision", first.precision]
        found.append(in_lines(words))
    return found


def in_lines(words: list[str]) -> str:
    r"""A command quoted for a shell, an option a line.

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


def _numbers(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def shared(collected: Collected) -> str:
    """What the cells of a sweep had in common and was done once."""
    sweep = collected.sweep
    if sweep is None:
        return ""
    beginnings = {cell.beginning: cell.n_steps[0] for cell in sweep.cells if cell.beginning}
    if not beginnings:
        return f"{len(sweep.cells)} cells; no beginning to share: the first task depends on the shots."
    alone = sum(sum(cell.n_steps) for cell in sweep.cells)
    together = sum(cell.n_steps[1] for cell in sweep.cells) + sum(beginnings.values())
    return (
        f"{len(sweep.cells)} cells went on from {len(beginnings)} beginnings (the first task, trained once for each "
        f"strategy, seed and set of values that decides it): {together:,} training steps, not {alone:,}. "
        "Each result is the same to the bit as that of its cell run alone."
    )
