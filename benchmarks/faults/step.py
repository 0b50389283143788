"""A training step that cannot be taken, and data that do not fit into memory."""

from __future__ import annotations

import json
import random

from benchmarks.faults import checks
from benchmarks.faults.bench import Bench, Fault, Red
from benchmarks.faults.kill import reference
from contsym.results import store

N_STEPS = 24
"""Of a run: two seeds, two tasks, six steps each."""
N_ROWS, N_CHARACTERS = 60_000, 3000
MEMORY = 120 * 2**20
"""What a run may have beyond what it starts with; its texts alone are 1.5 times as much."""


def not_a_number(bench: Bench, rng: random.Random) -> str:
    """NaN or Inf as the loss of a random step; without it, the same command completes what is left."""
    known = reference(bench, "run", bench.run_words, {})
    with bench.output() as output:
        words = bench.run_words(output)
        n, what = rng.randint(1, N_STEPS), rng.choice(["nan", "inf", "-inf"])
        child = bench.run(words, {"fail_in_step": {"n": n, "what": what}})
        step, task = 1 + (n - 1) % 6, ("mnli", "wikidata")[(n - 1) // 6 % 2]
        child.expect_one_line(2, f"the loss is {what} at step {step} on {task}", "row ", "are stored in")
        (stopped,) = (output / "stopped").iterdir()
        told = json.loads((stopped / "stopped.json").read_text("utf-8"))
        if (told["seed"], told["step"], len(told["pairs"])) != ((n - 1) // 12, step, 16):
            raise Red(f"stopped.json says {told['seed']}, {told['step']}, {len(told['pairs'])} pairs")
        expect_finite(stopped / "state.safetensors")
        if len(checks.stored_results(output)) != (n - 1) // 12:
            raise Red("a seed that was finished before is not there")
        bench.run(words).expect(0)
        checks.expect_equal(checks.stored_results(output), known.stored)
        checks.expect_tracked(output / "mlflow.db", known.tracked)
    return "one line with step and pairs; the weights before it kept, all finite"


def expect_finite(path) -> None:
    from safetensors.torch import load_file

    for name, tensor in load_file(path).items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise Red(f"the kept state is not finite: {name}")


def out_of_memory(bench: Bench, rng: random.Random) -> str:
    """Memory that is out in a random step (torch.OutOfMemoryError, simulated)."""
    known = reference(bench, "run", bench.run_words, {})
    with bench.output() as output:
        words = bench.run_words(output)
        n = rng.randint(1, N_STEPS)
        child = bench.run(words, {"fail_in_step": {"n": n, "what": "memory"}})
        task = ("mnli", "wikidata")[(n - 1) // 6 % 2]
        where = f"out of memory on cpu at step {1 + (n - 1) % 6} on {task} with batch_size=16"
        child.expect_one_line(2, where, "try --set batch_size=8")
        bench.run(words).expect(0)
        checks.expect_equal(checks.stored_results(output), known.stored)
    return "one line with the batch size to try"


def larger_than_memory(bench: Bench, rng: random.Random) -> str:
    """Texts that are larger than what the process may have of memory: they stay in a mapped file."""
    path = bench.folder / "large"
    if not path.is_dir():
        path.mkdir()
        lines = (bench.folder / "wikidata" / "train.jsonl").read_text("utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        with (path / "train.jsonl").open("w", encoding="utf-8") as file:
            for i in range(N_ROWS):
                row = rows[i % len(rows)]
                filler = f" {i}" * (N_CHARACTERS // len(f" {i}"))
                file.write(json.dumps({**row, "id": str(i), "premise": row["premise"] + filler}) + "\n")
        (path / "test.jsonl").write_bytes((bench.folder / "wikidata" / "test.jsonl").read_bytes())
    with bench.output() as output:
        words = ["run", "--strategy", "fine_tune", "--scenario", "wikidata_only", "--wikidata", "large"]
        words += ["--encoder", "encoder", "--set", "steps=2", "--no-audit", "--no-curve", "--device", "cpu"]
        words += ["--precision", "fp32", "--output", str(output)]
        child = bench.run(words, {"limit_data": MEMORY})
        child.expect(0)
        (seed,) = output.glob("results/*/result.json")
        rows_of = store.read_result(seed).sources["wikidata"].rows
        if rows_of.train + rows_of.validation != N_ROWS:
            raise Red("not all pairs were trained on")
    size = (path / "train.jsonl").stat().st_size / 2**20
    return f"trained on {size:.0f} MiB of text with {MEMORY / 2**20:.0f} MiB to allocate"


FAULTS = (
    Fault("not_a_number", "NaN or Inf as a loss", not_a_number, 20),
    Fault("out_of_memory", "out of memory in a training step", out_of_memory, 10),
    Fault("larger_than_memory", "a data set larger than memory", larger_than_memory, 2),
)
