"""What decides a result beside its settings: the code and the libraries."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

import contsym

RESULT_CODE = (
    *(
        "run.py",
        "training_parts.py",
        "outcome.py",
        "seed_run.py",
        "config.py",
        "memory.py",
        "encoders.py",
        "pooling.py",
        "beginnings.py",
    ),
    *("encodings.py", "starts.py", "language_models.py", "method_settings.py", "logistic.py", "routing.py"),
    *("neighbours.py", "reservoir.py", "freezing.py"),
    *(
        f"{folder}/*.{kind}"
        for folder in ("relations", "strategies", "addons", "scenarios")
        for kind in ("py", "toml")
    ),
    # Of metrics/ only what makes a result; statistics and conventions read stored ones.
    *("metrics/matrix.py", "metrics/plugins.py", "metrics/probe.py"),
    *("data/*.py", "data/*.toml", "data/bundled/*"),
)
LIBRARIES = (
    *("torch", "transformers", "avalanche-lib", "datasets", "faiss-cpu", "numpy", "mlflow"),
    *("peft", "scikit-learn"),
)


def library_versions() -> dict[str, str]:
    versions = {"contsym": contsym.__version__, "python": platform.python_version()}
    return {**versions, **{name: metadata.version(name) for name in LIBRARIES}}


def git_commit() -> str | None:
    """The commit of contsym's own checkout, `+` where it has changes; None outside of one."""
    root = Path(contsym.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
        ["git", "-C", str(root), *arguments],  # noqa: S607 - the user's own git
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return done.stdout.strip()


@cache
def code_sha256() -> str:
    """SHA-256 over the source files that decide a result; what only shows or sends it is not among them."""
    root = Path(contsym.__file__).resolve().parent
    digest = hashlib.sha256()
    for pattern in RESULT_CODE:
        for path in sorted(root.glob(pattern)):
            digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
