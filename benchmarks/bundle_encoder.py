"""Put a folder of `contsym pretrain --difference` into the package: python benchmarks/bundle_encoder.py FOLDER minilm-nli

docs/protocols.md has the command that makes the folder of minilm-nli. This script copies it to
contsym/models/encoders/bundled/NAME, checks it, and prints the SHA-256 that belongs into presets.py. The card loses
what only the machine knows that made it: the paths of its data.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from contsym.data.sources import source_label
from contsym.models.encoders.checkpoints import CARD, DIFFERENCE, difference_sha256, locate
from contsym.models.encoders.declared import MODULES
from contsym.models.encoders.nli_head import NLI_HEAD, read_head
from contsym.models.encoders.presets import BUNDLED, PRESETS

FILES = (CARD, DIFFERENCE, NLI_HEAD, MODULES, "1_Pooling/config.json", "sentence_bert_config.json")
"""The files of a difference that contsym reads."""
MAX_BYTES = 8_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="what contsym pretrain --difference wrote")
    parser.add_argument("name", choices=[name for name, preset in PRESETS.items() if preset.is_bundled])
    options = parser.parse_args()
    digest = bundle(options.folder, BUNDLED / options.name)
    print(f'{BUNDLED / options.name}: SHA-256 "{digest}"; write it into {BUNDLED.with_name("presets.py")}')


def bundle(folder: Path, target: Path) -> str:
    """Copy a difference to the target in place of what is there, and return its SHA-256.

    Ends with a message where the folder is no difference to a preset, too large, or names a path of this machine.
    """
    files = locate(str(folder), fetch=False)
    card = without_paths(json.loads((folder / CARD).read_bytes()))
    base = PRESETS.get(card["encoder"]["name"])
    n_bytes = sum((folder / name).stat().st_size for name in FILES)
    if files.difference is None or base is None or base.sha256 != card["encoder"]["sha256"]:
        raise SystemExit(f"{folder}: expected a difference to a preset, of contsym pretrain --difference")
    if n_bytes > MAX_BYTES:
        raise SystemExit(
            f"{folder}: {n_bytes:,} bytes; expected at most {MAX_BYTES:,}: a smaller rank, as lora=64"
        )
    if paths := [text for text in texts_of(card) if Path(text).is_absolute()]:
        raise SystemExit(f"{folder / CARD}: names {', '.join(paths)}; expected no path of a machine")
    read_head(folder)
    shutil.rmtree(target, ignore_errors=True)
    for name in FILES:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, target / name)
    (target / CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return difference_sha256(target)


def without_paths(card: dict[str, Any]) -> dict[str, Any]:
    """The card with the last part of each local source's name alone; an early contsym wrote the whole path.

    >>> without_paths({"sources": {"mnli": {"name": "/data/mnli", "pairs": 3}}})
    {'sources': {'mnli': {'name': 'mnli', 'pairs': 3}}}
    """
    sources = card.get("sources", {})
    named = {task: {**source, "name": source_label(source["name"])} for task, source in sources.items()}
    return {**card, "sources": named}


def texts_of(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts_of(each)


if __name__ == "__main__":
    main()
