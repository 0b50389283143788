"""contsym as a user types it: in a process of its own, or in this one, which has loaded the heavy libraries."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from contsym.cli import main


def contsym(*words: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "contsym", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**environment(), **variables},
    )


def contsym_here(*words: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The same, without the seconds that a new process takes to import torch."""
    arguments = ["contsym", *map(str, words)]
    out, err, before = io.StringIO(), io.StringIO(), dict(os.environ)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", arguments)
        # Signals are pytest's.
        patch.setattr("contsym.cli.end_cleanly_on_signals", lambda: None)
        os.environ.update(variables)
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            os.environ.clear()
            os.environ.update(before)
    return subprocess.CompletedProcess(arguments, ended.value.code or 0, out.getvalue(), err.getvalue())


def environment() -> dict[str, str]:
    """Without network, on one thread, and with the contsym that these tests lie beside."""
    root = Path(__file__).resolve().parents[1]
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
