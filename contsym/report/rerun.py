"""How to make the results of a report again, and the training that the cells of a sweep shared."""

from __future__ import annotations

from contsym.report.collect import Collected
from contsym.sweeps.rerun_command import run_commands, sweep_command


def commands(collected: Collected) -> list[str]:
    """The commands that make the same results again, quoted for a shell: one per sweep, or one per run."""
    if collected.run and collected.run.is_sweep:
        return [sweep_command(collected.run.config, collected.run.output)]
    return run_commands(collected.results)


def shared_training(collected: Collected) -> str:
    """How much of the training the cells of a sweep shared; empty for runs."""
    sweep = collected.sweep
    if sweep is None:
        return ""
    first_tasks = {cell.first_task: cell.n_steps[0] for cell in sweep.cells if cell.first_task}
    if not first_tasks:
        is_known = collected.first.options.protocol == "retrain"
        why = "each starts from the encoder as it is" if is_known else "the first task depends on the shots"
        return f"{len(sweep.cells)} cells that share no training: {why}."
    alone = sum(sum(cell.n_steps) for cell in sweep.cells)
    together = sum(cell.n_steps[1] for cell in sweep.cells) + sum(first_tasks.values())
    steps = f": {together:,} training steps in place of {alone:,}" if alone else ""
    return (
        f"{len(sweep.cells)} cells share {len(first_tasks)} training{'s' * (len(first_tasks) > 1)} on the first task, one "
        f"per strategy, seed and set of values that decide it{steps}. "
        "Each result is equal to the bit to that of its cell run alone."
    )
