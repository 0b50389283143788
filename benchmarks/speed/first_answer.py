"""The default run, against a plain script with sentence-transformers that measures the same.

`contsym run --strategy knn_fixed --scenario mnli_then_wikidata` and plain_script.py are processes, timed from start to end,
with the same encoder and head, training, validation and test pairs, steps and hyper-parameters. contsym also looks for
leaks and shortcuts, measures how far weights and features move, and stores results on disk and in MLflow; it takes the
precision that `--precision auto` chooses on this machine. plain_script.py's docstring says what it does and leaves out.

Equal results: before training nothing is drawn, so both tasks' accuracies must agree within 0.01 (in bfloat16 rounding
decides a few pairs that lie on the border). The batches are drawn by different generators, so after training they must
agree within 0.03 for the task just learned, and within 0.1 for the earlier one, which each forgets in its own way; the
linear probe on its features within 0.05.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from contsym.data.schema import rows_of
from contsym.data.shots import subset
from contsym.machine import run_environment
from contsym.results.metrics.probe import PENALTY
from contsym.tasks.schema import NLI_LABELS
from contsym.training.loop import PROBE_PART
from contsym.training.parts import fixed_parts
from contsym.training.plan import Plan, n_training_steps, prepare
from speed.default_run import default_config, default_words
from speed.ratios import Comparison, Options, clocked, interleaved

AIM = 4.0
UNTRAINED, LEARNED, FORGOTTEN, PROBED = 0.01, 0.03, 0.1, 0.05
"""By how much accuracies may differ."""
SEED = 0


def measure(options: Options) -> list[Comparison]:
    # Without the search for leaks and shortcuts, which a run would then find done.
    plan = prepare(replace(default_config(options), audit=False))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = exported(plan, options, folder / "start")
        tasks = [write(plan, place, folder / task.name) for place, task in enumerate(plan.tasks)]
        folders = (folder / f"run-{i}" for i in itertools.count())
        seconds, found = interleaved(
            {
                "contsym": clocked(lambda: contsym(options, next(folders))),
                "plain": clocked(lambda: plain(options, plan, start, tasks)),
            },
            1 if options.smoke else options.long_repeats,
            warm_up=False,
        )
    agrees, agreement = agreement_of(found["contsym"], found["plain"])
    return [
        Comparison(
            measure="first_answer",
            name="the default run / plain script",
            ours=seconds["contsym"],
            theirs=seconds["plain"],
            agrees=agrees or options.smoke,
            agreement=agreement,
            aim=AIM,
            facts={
                "test pairs": [len(task.test) for task in plan.tasks],
                "contsym's precision": plan.precision,
                "before, after and probe, contsym": rounded(found["contsym"]),
                "before, after and probe, plain script": rounded(found["plain"]),
            },
        )
    ]


def exported(plan: Plan, options: Options, folder: Path) -> Path:
    """The start of the run for sentence-transformers, with its head; the toy encoder is such a folder as it is."""
    if options.smoke:
        return Path(options.encoder)
    printed(["-m", "contsym", "export", str(plan.config.encoder), "--to", f"sentence-transformers:{folder}"])
    return folder


def write(plan: Plan, place: int, folder: Path) -> Path:
    """The pairs of a task that a run looks at, as files for the script."""
    folder.mkdir()
    task = plan.tasks[place]
    train = plan.training_part(task, SEED)
    if place == 0:
        # What is known serves the probe alone.
        train = subset(train, min(PROBE_PART, len(train)), 0, "probe")
    parts = {"train": train, "validation": fixed_parts(plan.tasks)[place], "test": task.test}
    for name, pairs in parts.items():
        rows = [{**row, "label": NLI_LABELS[row["label"]]} for row in rows_of(pairs)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return folder


def contsym(options: Options, folder: Path) -> list[list[float]]:
    """As after installation: with an empty cache, and a store whose tables are yet to be made."""
    command = ["-m", "contsym", *default_words(options), "--output", str(folder / "output"), "--json"]
    done = json.loads(printed(command, {"CONTSYM_CACHE": str(folder / "cache")}))["seeds"][0]
    return [done["matrix"][0], done["matrix"][-1], [done["probe"]["before"], done["probe"]["after"]]]


def plain(options: Options, plan: Plan, start: Path, tasks: Sequence[Path]) -> list[list[float]]:
    settings: Any = plan.settings
    numbers = {
        "steps": n_training_steps(plan, 1, [0, len(plan.training_part(plan.tasks[1], SEED))]),
        "batch-size": settings.batch_size,
        "learning-rate": plan.learning_rate,
        "weight-decay": settings.weight_decay,
        "clip-norm": settings.clip_norm,
        "margin": settings.margin,
        "guard": settings.guard,
        "neighbours": settings.k,
        "penalty": PENALTY,
        "device": options.device,
        "seed": SEED,
    }
    given = [text for name, value in numbers.items() for text in (f"--{name}", str(value))]
    script = Path(__file__).with_name("plain_script.py")
    # As it comes: what this process has set for contsym is not for it.
    own = dict.fromkeys(run_environment())
    found = json.loads(printed([str(script), str(start), *map(str, tasks), *given], own))
    return [found["before"], found["after"], found["probe"]]


def printed(command: Sequence[str], changes: Mapping[str, str | None] | None = None) -> str:
    """What a Python process printed, with these changes of the environment; where it failed, its last words are shown."""
    changed = {**os.environ, **(changes or {})}
    environment = {name: value for name, value in changed.items() if value is not None}
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def agreement_of(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> tuple[bool, str]:
    """Whether accuracies before and after, and the probe's, agree as the module's docstring says, and that in words."""
    places = {
        "untrained": (max(abs(a - b) for a, b in zip(ours[0], theirs[0], strict=True)), UNTRAINED),
        "last task": (abs(ours[1][1] - theirs[1][1]), LEARNED),
        "first task at the end": (abs(ours[1][0] - theirs[1][0]), FORGOTTEN),
        "its probe": (max(abs(a - b) for a, b in zip(ours[2], theirs[2], strict=True)), PROBED),
    }
    said = [f"{name} differs by {by:.3f}, allowed {allowed:g}" for name, (by, allowed) in places.items()]
    return all(by <= allowed for by, allowed in places.values()), "accuracy: " + "; ".join(said)


def rounded(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    return [[round(a, 3) for a in row] for row in matrix]
