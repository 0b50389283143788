"""A training step of knn_fixed in contsym, against a bare PyTorch loop that does the same.

Both take the same batches of MNLI pairs, tokenize them, encode premises and hypotheses in one pass, divide,
take the contrastive loss, clip the gradient and step with fused AdamW at the same settings. contsym's way is
`Strategy.train` as a run has it: Avalanche's loop, its plugins, the log of losses and rows; what comes before
and after the steps (building, storing, evaluating) is not timed, nor is the learning curve, which is a
measurement. contsym asks torch for deterministic kernels, the bare loop does not: their price is overhead.
The clock runs from the end of the second step to the end of the last.

Equal results: a first pass of each, without dropout and not timed, must lose the same at every step, to 1e-4
in float32 and 0.02 in bfloat16.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from avalanche.core import SupervisedPlugin
from torch import nn

from contsym.config import RunConfig
from contsym.models.algebra import guarded_division
from contsym.models.encoders.device import Precision
from contsym.models.encoders.load import load
from contsym.models.losses import contrastive_loss
from contsym.training.loop import SeedRun
from contsym.training.parts import training_part
from contsym.training.plan import Plan, prepare
from contsym.training.progress import Silent
from speed.ratios import Comparison, Options, interleaved

AIM = 1 / 1.05
"""An overhead of 5%."""
TOLERANCE = {"fp32": 1e-4, "bf16": 2e-2}
SEED = 0
N_UNCOUNTED = 2


class Marks(SupervisedPlugin):
    """Notes the rows of every step and the clock at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[int]] = []
        self.ends: list[float] = []

    def after_training_iteration(self, strategy, **kwargs) -> None:
        self.rows.append(strategy.mb_x["row"].tolist())
        if strategy.device.type == "cuda":
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


def measure(options: Options) -> list[Comparison]:
    n_steps = 6 if options.smoke else 30
    plan = prepare(
        RunConfig(
            strategy="knn_fixed",
            scenario="mnli_only",
            encoder=options.encoder,
            sources={"mnli": options.mnli},
            settings={"steps": str(n_steps)},
            device=options.device,
            audit=False,
            curve=False,
        )
    )
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    return [compare(replace(plan, precision=precision), options) for precision in precisions]


def compare(plan: Plan, options: Options) -> Comparison:
    marks, losses = contsym_steps(plan, dropout=False)
    _, bare_losses = bare_steps(plan, marks.rows, dropout=False)
    differ = max(abs(a - b) for a, b in zip(losses, bare_losses, strict=True))
    tolerance = TOLERANCE[plan.precision]

    def ours() -> tuple[float, None]:
        marks, _ = contsym_steps(plan)
        return marks.ends[-1] - marks.ends[N_UNCOUNTED - 1], None

    def theirs() -> tuple[float, None]:
        ends, _ = bare_steps(plan, marks.rows)
        return ends[-1] - ends[N_UNCOUNTED - 1], None

    # A pass of each has been, so all is warm.
    repeats = 1 if options.smoke else options.repeats
    seconds, _ = interleaved({"contsym": ours, "bare": theirs}, repeats, warm_up=False)
    n = len(marks.rows) - N_UNCOUNTED
    overheads = [a / b - 1 for a, b in zip(seconds["contsym"], seconds["bare"], strict=True)]
    return Comparison(
        measure="step",
        name=f"{plan.precision}, {n} steps of {len(marks.rows[0])} pairs / bare PyTorch",
        ours=seconds["contsym"],
        theirs=seconds["bare"],
        agrees=differ <= tolerance,
        agreement=f"losses of {len(losses)} steps differ by {differ:.1e} at most; allowed {tolerance:g}",
        aim=AIM,
        facts={"overhead, median": f"{statistics.median(overheads):.1%}"},
    )


def contsym_steps(plan: Plan, *, dropout: bool = True) -> tuple[Marks, list[float]]:
    """Marks and losses of an experience's training, from the pretrained encoder."""
    run = SeedRun(plan, [training_part(task, plan.config, SEED) for task in plan.tasks], SEED, Silent())
    if not dropout:
        without_dropout(run.encoder)
    marks = Marks()
    run.template.plugins.append(marks)
    torch.manual_seed(SEED)
    run.template.train(run.train_stream[0], eval_streams=[], reset_optimizer_state=True)
    return marks, run.log.losses[0]


def bare_steps(
    plan: Plan, batches: Sequence[Sequence[int]], *, dropout: bool = True
) -> tuple[list[float], list[float]]:
    """The clock at each step's end, and losses, of the loop that one would write without contsym.

    `batches` are rows of the training pairs.
    """
    torch.use_deterministic_algorithms(not dropout)
    settings, device = plan.settings, torch.device(plan.device)
    pairs = training_part(plan.tasks[0], plan.config, SEED)
    premises, hypotheses, labels = (pairs[name][:] for name in ("premise", "hypothesis", "label"))
    encoder = load(plan.encoder).to(device)
    encoder.precision = plan.precision
    if not dropout:
        without_dropout(encoder)
    encoder.train()
    optimizer = torch.optim.AdamW(
        encoder.parameters(), lr=plan.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    ends, losses = [], []
    torch.manual_seed(SEED)
    for rows in batches:
        # In contsym's order, premise by hypothesis: with it the padding is the same.
        tokens = encoder.tokenize([text for row in rows for text in (premises[row], hypotheses[row])])
        p, h = encoder(tokens.to(device)).unflatten(0, (len(rows), 2)).unbind(1)
        wanted = torch.tensor([labels[row] for row in rows], device=device)
        loss = contrastive_loss(guarded_division(h, p, guard=settings.guard), wanted, settings.margin)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), settings.clip_norm)
        optimizer.step()
        losses.append(float(loss.detach()))
        if device.type == "cuda":
            torch.cuda.synchronize()
        ends.append(time.perf_counter())
    return ends, losses


def without_dropout(model: nn.Module) -> None:
    """Dropout draws, and the two loops do not draw alike."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
