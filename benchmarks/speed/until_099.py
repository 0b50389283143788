"""Seconds of the fewest training steps on 64 Wikidata pairs that reach 0.99, against sentence-transformers and SetFit.

Each way is trained anew for each of STEPS until its accuracy on 192 validation pairs is 0.99; counted are the seconds
of that training alone, from the weights on disk to a model that can predict: loading, steps of 16 pairs, and what the
method has to fit or store then. A round is a seed: other pairs, another order. A way that does not get there is counted
with the seconds of the most steps, and the line says so: its ratio is a lower bound then. All take the same training
pairs, weights, learning rate, clipping and precision (float32).

- contsym's ways: knn_fixed, random_labels and setfit.
- sentence-transformers: SentenceTransformerTrainer with ContrastiveLoss over (premise, hypothesis, 1 where it
  is entailed), which learns cos(p, h); it predicts by the threshold that suits the training pairs best.
- SetFit: its Trainer over texts "premise hypothesis" with their labels, then its logistic regression. One of its
  steps compares 16 pairs of such texts, so that it encodes 32 texts a step like the others.

These are different methods, so no equality is to be had. What must hold: contsym's way reaches 0.99 with every seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from contsym.config import RunConfig
from contsym.models.encoders import checkpoints
from contsym.tasks.schema import NLI_LABELS
from contsym.training.loop import SeedRun
from contsym.training.parts import fixed_parts, training_part
from contsym.training.plan import Plan, prepare, resolved
from contsym.training.progress import Silent
from speed.encode import sentence_transformer
from speed.ratios import Comparison, Options, clocked

STEPS = (10, 20, 30, 40, 60, 80, 100)
AIM = 1.5
TARGET = 0.99
STRATEGIES = ("knn_fixed", "random_labels", "setfit")

Predict = Callable[[Dataset], np.ndarray]
"""Pairs to label indices."""
Train = Callable[[Plan, Dataset, int], Predict]
"""A plan, its training pairs and a seed to a trained model."""


def measure(options: Options) -> list[Comparison]:
    n_shots, steps = (8, (2, 3)) if options.smoke else (64, STEPS)
    n_seeds = 1 if options.smoke else options.long_repeats
    plan = prepared(options, n_shots)
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    needed: dict[str, list[int | None]] = {name: [] for name in WAYS}
    for seed in range(n_seeds):
        pairs = training_part(plan.tasks[0], plan.config, seed)
        for name, train in WAYS.items():
            if seed == 0 and not options.smoke:
                # What it imports is no part of training.
                train(given(plan, name, steps[0]), pairs, seed)
            for n in steps:
                own = given(plan, name, n)
                took, predict = clocked(lambda own=own, train=train: train(own, pairs, seed))()  # noqa: B023
                reached = accuracy(predict, plan) >= TARGET
                if reached:
                    break
            seconds[name].append(took)
            needed[name].append(n if reached else None)
    return [
        Comparison(
            measure="until_099",
            name=f"{name}, until {TARGET} on {n_shots} pairs / {other}",
            ours=seconds[name],
            theirs=seconds[other],
            agrees=options.smoke or None not in needed[name],
            agreement=f"{said(needed[name])} steps; {other} {said(needed[other])}, of {steps[-1]} at most",
            aim=AIM,
        )
        for name in STRATEGIES
        for other in OTHERS
    ]


def said(needed: list[int | None]) -> str:
    """
    >>> said([20, None])
    '20, not reached'
    """
    return ", ".join("not reached" if n is None else str(n) for n in needed)


def prepared(options: Options, n_shots: int) -> Plan:
    """Wikidata alone, in float32, without what a run looks at beside training."""
    return prepare(
        RunConfig(
            strategy=STRATEGIES[0],
            scenario="wikidata_only",
            encoder=options.encoder,
            sources={"wikidata": options.wikidata},
            shots=n_shots,
            device=options.device,
            precision="fp32",
            audit=False,
            curve=False,
        )
    )


def given(plan: Plan, name: str, n_steps: int) -> Plan:
    """The plan of one way: contsym's of its strategy; the others take their numbers from the first one's."""
    strategy = name if name in STRATEGIES else STRATEGIES[0]
    return resolved(plan, replace(plan.config, strategy=strategy, settings={"steps": str(n_steps)}))


def accuracy(predict: Predict, plan: Plan) -> float:
    """On the validation pairs that a run measures."""
    (part,) = fixed_parts(plan.tasks)
    return float((predict(part) == np.asarray(part["label"][:])).mean())


def with_contsym(plan: Plan, pairs: Dataset, seed: int) -> Predict:
    run = SeedRun(plan, [pairs], seed, Silent())
    run.template.train(run.train_stream[0], eval_streams=[], reset_optimizer_state=True)
    # It is asked for by each run of contsym; the others should not pay for it.
    torch.use_deterministic_algorithms(False)
    return lambda asked: run.strategy.score(asked).argmax(dim=1).numpy()


def with_sentence_transformers(plan: Plan, pairs: Dataset, seed: int) -> Predict:
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import ContrastiveLoss

    settings, model = plan.settings, _model(plan)
    entailed = [int(NLI_LABELS[label] == "entailment") for label in pairs["label"][:]]
    data = {"sentence1": pairs["premise"][:], "sentence2": pairs["hypothesis"][:], "label": entailed}
    with tempfile.TemporaryDirectory() as folder:
        SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(
                output_dir=folder,
                max_steps=settings.n_steps(len(pairs)),
                per_device_train_batch_size=settings.batch_size,
                learning_rate=plan.learning_rate,
                lr_scheduler_type="constant",
                weight_decay=settings.weight_decay,
                max_grad_norm=settings.clip_norm,
                use_cpu=plan.device == "cpu",
                seed=seed,
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_dict(data),
            loss=ContrastiveLoss(model, margin=settings.margin),  # type: ignore[attr-defined]
        ).train()
    threshold = best_threshold(_cosines(model, pairs), np.asarray(entailed, dtype=bool))
    yes, no = NLI_LABELS.index("entailment"), NLI_LABELS.index("contradiction")
    return lambda asked: np.where(_cosines(model, asked) >= threshold, yes, no)


def with_setfit(plan: Plan, pairs: Dataset, seed: int) -> Predict:
    from setfit import SetFitModel, Trainer, TrainingArguments
    from sklearn.linear_model import LogisticRegression

    settings = plan.settings
    model = SetFitModel(model_body=_model(plan), model_head=LogisticRegression(max_iter=1000))
    with tempfile.TemporaryDirectory() as folder:
        Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                max_steps=settings.n_steps(len(pairs)),
                batch_size=settings.batch_size,
                body_learning_rate=plan.learning_rate,
                warmup_proportion=0.0,
                seed=seed,
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                show_progress_bar=False,
            ),
            train_dataset=Dataset.from_dict({"text": _joined(pairs), "label": pairs["label"][:]}),
        ).train()
    return lambda asked: np.asarray(model.predict(_joined(asked), show_progress_bar=False))


OTHERS: dict[str, Train] = {"sentence-transformers": with_sentence_transformers, "SetFit": with_setfit}
WAYS: dict[str, Train] = {**dict.fromkeys(STRATEGIES, with_contsym), **OTHERS}


def best_threshold(cosines: np.ndarray, entailed: np.ndarray) -> float:
    """The cosine from which on calling a pair entailed is right most often; of equal ones the least."""
    right = [((cosines >= threshold) == entailed).mean() for threshold in sorted(cosines)]
    return float(sorted(cosines)[int(np.argmax(right))])


def _model(plan: Plan) -> Any:
    encoder = checkpoints.read_config(plan.encoder.folder)
    from contsym.models.encoders.resolve import tokenizer_of

    limit = tokenizer_of(plan.encoder)[1]
    return sentence_transformer(plan.encoder.folder, limit, int(encoder["hidden_size"]), plan.device)


def _cosines(model: Any, pairs: Dataset) -> np.ndarray:
    p, h = (
        model.encode(pairs[role][:], show_progress_bar=False, convert_to_tensor=True)
        for role in ("premise", "hypothesis")
    )
    return torch.nn.functional.cosine_similarity(p, h).cpu().numpy()


def _joined(pairs: Dataset) -> list[str]:
    return [f"{p} {h}" for p, h in zip(pairs["premise"][:], pairs["hypothesis"][:], strict=True)]
