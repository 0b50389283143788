"""`contsym run --scenario mnli_then_wikidata`, against a plain script for the same method.

Both are processes, timed from start to end, with the same checkpoint, the same training and test pairs (1,600
of MNLI, 64 of Wikidata, written out once for both), 100 steps of 16 pairs on each, and the same
hyper-parameters. The method is text_labels, since its label embeddings are encodings. contsym does all that a run
does by default, in the precision it chooses on this machine: audit, learning curve, probes, results
on disk and in MLflow. The script (plain_script.py, whose docstring says what is plain about it) trains and
evaluates, before training and after each task, and does nothing else.

Equal results: the batches are drawn by different generators and the precisions differ, so accuracies cannot be
the same to the digit. Untrained, nothing is drawn: row 0 of the matrix must agree within 0.01 (rounding
decides a few pairs that lie on the border). After the last task both tasks' accuracies must agree
within 0.05 for the task just learned, and within 0.1 for the earlier one, which each forgets in its own way.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contsym.config import RunConfig
from contsym.data.schema import rows_of
from contsym.tasks.schema import NLI_LABELS
from contsym.training.parts import training_part
from contsym.training.plan import Plan, prepare
from speed.ratios import Comparison, Options, clocked, interleaved

AIM = 4.0
STRATEGY = "text_labels"
UNTRAINED, LEARNED, FORGOTTEN = 0.01, 0.05, 0.1
"""By how much accuracies may differ."""
SEED = 0


def measure(options: Options) -> list[Comparison]:
    n_mnli, n_shots, n_steps = (30, 8, 2) if options.smoke else (1600, 64, 100)
    plan = prepare(
        RunConfig(
            strategy=STRATEGY,
            scenario="mnli_then_wikidata",
            protocol="sequential",
            encoder=options.encoder,
            sources={"mnli": options.mnli, "wikidata": options.wikidata},
            sizes={"mnli": n_mnli},
            shots=n_shots,
            settings={"steps": str(n_steps)},
            device=options.device,
            audit=False,
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        tasks = [write(plan, i, Path(folder) / task.name) for i, task in enumerate(plan.tasks)]
        runs = iter(range(1_000_000))
        seconds, matrices = interleaved(
            {
                # Each run with a store of its own: the first one makes the tables.
                "contsym": clocked(lambda: contsym(plan, tasks, Path(folder) / f"runs-{next(runs)}")),
                "plain": clocked(lambda: plain(plan, tasks)),
            },
            1 if options.smoke else options.long_repeats,
            warm_up=False,
        )
    agrees, agreement = agreement_of(matrices["contsym"], matrices["plain"])
    return [
        Comparison(
            measure="full_run",
            name=f"{STRATEGY}, {n_mnli} + {n_shots} pairs, {n_steps} steps each / plain script",
            ours=seconds["contsym"],
            theirs=seconds["plain"],
            agrees=agrees or options.smoke,
            agreement=agreement,
            aim=AIM,
            facts={
                "test pairs": [len(task.test) for task in plan.tasks],
                "contsym's precision": plan.precision,
                "accuracy matrix, contsym": rounded(matrices["contsym"]),
                "accuracy matrix, plain script": rounded(matrices["plain"]),
            },
        )
    ]


def write(plan: Plan, i: int, folder: Path) -> Path:
    """The pairs of a task that the run may use, as files that both ways read."""
    folder.mkdir()
    task = plan.tasks[i]
    for name, pairs in (("train", training_part(task, plan.config, SEED)), ("test", task.test)):
        rows = [{**row, "label": NLI_LABELS[row["label"]]} for row in rows_of(pairs)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return folder


def contsym(plan: Plan, tasks: Sequence[Path], output: Path) -> list[list[float]]:
    mnli, wikidata = map(str, tasks)
    command = ["-m", "contsym", "run", "--strategy", STRATEGY, "--scenario", plan.config.scenario]
    command += [
        "--protocol",
        "sequential",
        "--encoder",
        str(plan.config.encoder),
        "--mnli",
        mnli,
        "--wikidata",
        wikidata,
    ]
    command += ["--seeds", f"{SEED}-{SEED}", "--set", f"steps={plan.settings.steps}"]
    command += ["--set", f"learning_rate={plan.learning_rate}", "--device", plan.device]
    return printed([*command, "--output", str(output), "--json"])["seeds"][0]["matrix"]


def plain(plan: Plan, tasks: Sequence[Path]) -> list[list[float]]:
    from contsym.models.encoders.resolve import tokenizer_of

    settings: Any = plan.settings
    script = Path(__file__).with_name("plain_script.py")
    options = {
        "steps": settings.steps,
        "batch-size": settings.batch_size,
        "learning-rate": plan.learning_rate,
        "weight-decay": settings.weight_decay,
        "clip-norm": settings.clip_norm,
        "margin": settings.margin,
        "length": tokenizer_of(plan.encoder)[1],
        "seed": SEED,
        "device": plan.device,
    }
    given = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    return printed([str(script), str(plan.encoder.folder), *map(str, tasks), *given])["matrix"]


def printed(command: Sequence[str]) -> dict[str, Any]:
    """The JSON that a Python process printed; where it failed, its last words are shown."""
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def agreement_of(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> tuple[bool, str]:
    """Whether two accuracy matrices agree where the module's docstring says, and that in words."""
    places = {
        "untrained": (max(abs(a - b) for a, b in zip(ours[0], theirs[0], strict=True)), UNTRAINED),
        "last task": (abs(ours[-1][-1] - theirs[-1][-1]), LEARNED),
        "first task at the end": (abs(ours[-1][0] - theirs[-1][0]), FORGOTTEN),
    }
    said = [f"{name} differs by {by:.3f}, allowed {allowed:g}" for name, (by, allowed) in places.items()]
    return all(by <= allowed for by, allowed in places.values()), "accuracy: " + "; ".join(said)


def rounded(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    return [[round(a, 3) for a in row] for row in matrix]
