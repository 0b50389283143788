"""The default run, against a plain script with sentence-transformers that measures the same.

`contsym run --strategy knn_fixed --scenario mnli_then_wikidata` and plain_script.py are processes, timed from start to end,
with the same encoder and head, training, validation and test pairs, steps and hyper-parameters. contsym also looks for
leaks and shortcuts, and stores results on disk and in MLflow; it takes the precision that `--precision auto` chooses
on this machine. plain_script.py's docstring says what it does and leaves out.

Equal results: before training nothing is drawn, so both tasks' accuracies must agree within 0.01 (in bfloat16 rounding
decides a few pairs that lie on the border). The batches are drawn by different generators, so after training they must
agree within 0.03 for the task just learned, and within 0.1 for the earlier one, which each forgets in its own way.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contsym.data.schema import rows_of
from contsym.data.shots import subset
from contsym.tasks.schema import NLI_LABELS
from contsym.training.loop import PROBE_PART
from contsym.training.parts import fixed_parts
from contsym.training.plan import Plan, n_training_steps, prepare
from speed.default_run import default_config, default_words
from speed.ratios import Comparison, Options, clocked, interleaved

AIM = 4.0
UNTRAINED, LEARNED, FORGOTTEN = 0.01, 0.03, 0.1
"""By how much accuracies may differ."""
SEED = 0


def measure(options: Options) -> list[Comparison]:
    plan = prepare(default_config(options))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = exported(plan, options, folder / "start")
        tasks = [write(plan, place, folder / task.name) for place, task in enumerate(plan.tasks)]
        outputs = (folder / f"runs-{i}" for i in itertools.count())
        seconds, found = interleaved(
            {
                # Each run with a store of its own: the first one makes the tables.
                "contsym": clocked(lambda: contsym(options, next(outputs))),
                "plain": clocked(lambda: plain(plan, start, tasks)),
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
                "before and after, contsym": rounded(found["contsym"]),
                "before and after, plain script": rounded(found["plain"]),
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


def contsym(options: Options, output: Path) -> list[list[float]]:
    command = ["-m", "contsym", *default_words(options), "--output", str(output), "--json"]
    matrix = json.loads(printed(command))["seeds"][0]["matrix"]
    return [matrix[0], matrix[-1]]


def plain(plan: Plan, start: Path, tasks: Sequence[Path]) -> list[list[float]]:
    settings: Any = plan.settings
    options = {
        "steps": n_training_steps(plan, plan.tasks[1], len(plan.training_part(plan.tasks[1], SEED))),
        "batch-size": settings.batch_size,
        "learning-rate": plan.learning_rate,
        "weight-decay": settings.weight_decay,
        "clip-norm": settings.clip_norm,
        "margin": settings.margin,
        "guard": settings.guard,
        "neighbours": settings.k,
        "seed": SEED,
    }
    given = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    script = Path(__file__).with_name("plain_script.py")
    found = json.loads(printed([str(script), str(start), *map(str, tasks), *given]))
    return [found["before"], found["after"]]


def printed(command: Sequence[str]) -> str:
    """What a Python process printed; where it failed, its last words are shown."""
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def agreement_of(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> tuple[bool, str]:
    """Whether accuracies before and after agree where the module's docstring says, and that in words."""
    places = {
        "untrained": (max(abs(a - b) for a, b in zip(ours[0], theirs[0], strict=True)), UNTRAINED),
        "last task": (abs(ours[-1][-1] - theirs[-1][-1]), LEARNED),
        "first task at the end": (abs(ours[-1][0] - theirs[-1][0]), FORGOTTEN),
    }
    said = [f"{name} differs by {by:.3f}, allowed {allowed:g}" for name, (by, allowed) in places.items()]
    return all(by <= allowed for by, allowed in places.values()), "accuracy: " + "; ".join(said)


def rounded(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    return [[round(a, 3) for a in row] for row in matrix]
