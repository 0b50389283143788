"""A sweep that takes seconds: a tiny encoder, toy tasks, two strategies, two shots, two seeds."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from contsym.files import visible_folders
from contsym.results import store
from contsym.sweeps.config import SweepConfig
from contsym.testing.toy import write_tasks
from tests.runs import without_time

__all__ = ["arguments", "cells", "comparable", "read_json", "toy_config", "write_tasks"]

OPTIONS = ("--strategies", "fine_tune,knn_fixed", "--scenario", "mnli_then_wikidata", "--shots", "8,16")
OPTIONS += (
    "--protocol",
    "sequential",
    "--seeds",
    "2",
    "--set",
    "steps=4",
    "--no-audit",
    "--device",
    "cpu",
    "--precision",
    "fp32",
)


def toy_config(sources: dict[str, str], encoder: Path, output: Path, **changes: Any) -> SweepConfig:
    chosen: dict[str, Any] = {
        "strategies": ("fine_tune", "knn_fixed"),
        "scenario": "mnli_then_wikidata",
        "protocol": "sequential",
        "shots": (8, 16),
        "seeds": (0, 1),
        "settings": {"steps": ("4",)},
        "encoder": str(encoder),
        "sources": sources,
        "device": "cpu",
        "precision": "fp32",
        "audit": False,
        "output": output,
    }
    return SweepConfig(**{**chosen, **changes})


def arguments(sources: dict[str, str], encoder: Path, output: Path) -> list[str]:
    named = [word for task, source in sources.items() for word in (f"--{task}", source)]
    return ["sweep", *OPTIONS, *named, "--encoder", str(encoder), "--output", str(output)]


def comparable(folder: Path) -> dict[str, Any]:
    return without_time(store.read_result(folder))


def cells(output: Path) -> dict[str, dict[str, Any]]:
    """All stored cells by key, without their times."""
    return {path.name: comparable(path) for path in visible_folders(store.results_folder(output))}


def read_json(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
