"""A cache of vectors by the untrained encoder, so that the runs of a sweep encode a text once.

The name of an entry is a hash of everything that decides its bits: weights, precision, device, threads,
code, libraries and the texts. Entries are written and deleted atomically; one that cannot be read is
encoded again. The folder is bounded: the least recently used entries are deleted first.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.files import bound, gib_from_environment, write_whole
from contsym.machine import n_threads

if TYPE_CHECKING:
    from torch import Tensor

    from contsym.models.encoders.batching import Text

FILE, VECTORS = "vectors.safetensors", "vectors"

LIMIT, DEFAULT_GIB = "CONTSYM_ENCODINGS_GIB", 4.0
"""The environment variable with the limit of the cache in an output folder, and its default."""


def limit_bytes() -> int:
    """The limit of the cache; 0 turns it off. Raises SettingError."""
    return gib_from_environment(LIMIT, DEFAULT_GIB, "cached vectors")


class UntrainedEncodings:
    """The vectors of one pretrained encoder in a folder."""

    def __init__(self, folder: Path, made_by: Sequence[object]) -> None:
        """`made_by`: the facts, beside the texts, that decide the bits of a vector."""
        self.folder, self._limit = folder, limit_bytes()
        self._facts = json.dumps([*made_by, n_threads()])
        self.saved_seconds = 0.0
        """The time that the cached vectors took to encode: a cell counts it as its own cost."""

    def get(self, texts: Sequence[Text], encode: Callable[[], Tensor], kind: str) -> Tensor:
        """The vectors of the texts, from the cache or by `encode`; `kind` is the class of the encoder."""
        digest = hashlib.sha256(json.dumps([self._facts, kind, *texts]).encode()).hexdigest()
        if (entry := _read(self.folder / digest / FILE)) is not None:
            vectors, seconds = entry
            self.saved_seconds += seconds
            return vectors
        start = time.perf_counter()
        vectors = encode()
        self._store(self.folder / digest, vectors, time.perf_counter() - start)
        return vectors

    def _store(self, folder: Path, vectors: Tensor, seconds: float) -> None:
        from safetensors.torch import save_file

        if vectors.nbytes > self._limit:
            return

        def fill(folder: Path) -> None:
            save_file({VECTORS: vectors.contiguous()}, folder / FILE, metadata={"seconds": str(seconds)})

        try:
            write_whole(folder, fill)
            bound(self.folder, self._limit, FILE)
        except OSError:
            return  # another process was faster, or the disk is full


def _read(path: Path) -> tuple[Tensor, float] | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            # The time of the last use; many file systems do not record reading.
            os.utime(path)
            return file.get_tensor(VECTORS), float((file.metadata() or {})["seconds"])
    # RuntimeError: torch, where another process deletes the file between two looks at it.
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError):
        return None
