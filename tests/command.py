"""contsym in a process of its own, as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def contsym(*words: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "contsym", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**environment(), **variables},
    )


def environment() -> dict[str, str]:
    """Without network, on one thread, and with the contsym that these tests lie beside."""
    root = Path(__file__).resolve().parents[1]
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
