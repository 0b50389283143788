"""A saved model used by another process, to show that nothing of it is left in this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from datasets import Dataset
from safetensors.torch import load_file
from torch import Tensor

import contsym
from contsym.errors import ContsymError

READS = """
import json, sys, warnings
warnings.simplefilter("ignore")
from safetensors.torch import save_file
from contsym import plugins
from contsym.training.trained import load
folder, pairs, answers, n_threads, *files = sys.argv[1:]
import torch
torch.set_num_threads(int(n_threads))
model = load(folder, device="cpu", plugins_of=plugins.read(files))
with open(pairs) as file:
    given = json.load(file)
heads = ["own", "known"] if model.file.known_head else ["own"]
save_file({head: model.scores(given, head=head).scores for head in heads}, answers)
"""
"""A process that scores pairs by a saved model."""


def scores_elsewhere(model: Path, pairs: Dataset, files: Sequence[str] = ()) -> Mapping[str, Tensor]:
    """The scores of pairs by a saved model that another process has loaded, by head. Raises
    ContsymError where it cannot be used there."""
    texts, answers = model.with_name(f"{model.name}.pairs.json"), model.with_name(f"{model.name}.safetensors")
    columns = zip(pairs["premise"][:], pairs["hypothesis"][:], strict=True)
    texts.write_text(json.dumps(list(columns)), "utf-8")
    words = [model, texts, answers, torch.get_num_threads(), *files]
    done = subprocess.run(  # noqa: S603 - Python itself, with fixed words
        [sys.executable, "-c", READS, *map(str, words)], capture_output=True, text=True, env=_environment()
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise ContsymError(
            said[-1] if said else f"another process ended with {done.returncode} and said nothing"
        )
    return load_file(answers)


def _environment() -> dict[str, str]:
    """That of this process, with the contsym that runs here."""
    root = Path(contsym.__file__).resolve().parents[1]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *filter(None, sys.path)])}
