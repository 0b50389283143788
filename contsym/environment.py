"""The machine and the libraries that a result was made with."""

from __future__ import annotations

import hashlib
import os
import platform
import resource
import subprocess
import sys
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


def platform_name() -> str:
    return platform.platform()


def processor_name(device: str) -> str:
    """The GPU, or the CPU and the vector instructions that torch uses of it: its kernels add in their order."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    model = platform.processor() or platform.machine()
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            names = (line.partition(":")[2].strip() for line in file if line.startswith("model name"))
            model = next(names, model)
    except OSError:
        pass  # not Linux
    return f"{model}, {torch.backends.cpu.get_cpu_capability()}"


def n_threads() -> int:
    import torch

    return torch.get_num_threads()


def peak_memory(device: str) -> int:
    """Peak bytes: of the GPU's allocator, or of this process from its start."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    # Linux counts in KiB, macOS in bytes.
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def quiet_libraries() -> None:
    """Their progress bars and advice would break up ours; errors still come through."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
