"""What the untrained encoder makes of texts, kept so that all runs of a sweep encode them once.

An entry is named by everything that decides its bits: weights, precision, device, threads, code,
libraries and the texts themselves. It comes and goes whole; one that cannot be read is made again. The
folder is bounded: what has not been used for longest leaves first, also while another process reads it.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from contsym.files import bound, gib_from_environment, write_whole
from contsym.machine import n_threads

if TYPE_CHECKING:
    from contsym.models.encoders.pooled import Text


FILE, VECTORS = "vectors.safetensors", "vectors"

LIMIT, DEFAULT_GIB = "CONTSYM_ENCODINGS_GIB", 4.0
"""The environment variable with the most that an output folder keeps, and what it is without."""


def limit_bytes() -> int:
    """The most that encodings may take in an output folder; 0 keeps none. Raises SettingError."""
    return gib_from_environment(LIMIT, DEFAULT_GIB, "kept encodings")


class UntrainedEncodings:
    """Encodings of one pretrained encoder in a folder."""

    def __init__(self, folder: Path, made_by: Sequence[object]) -> None:
        """`made_by` are the facts, beside the texts, that decide a vector's bits."""
        self.folder, self._limit = folder, limit_bytes()
        self._facts = json.dumps([*made_by, n_threads()])
        self.saved_seconds = 0.0
        """What the kept encodings took whoever made them: a cell costs what it would cost alone."""

    def get(self, texts: Sequence[Text], encode: Callable[[], Tensor], kind: str) -> Tensor:
        """The vectors of these texts: kept ones, or those that `encode` makes, kept from now on.

        `kind` is what reads the texts: a checkpoint's NLI head and its pooled states differ.
        """
        digest = hashlib.sha256(json.dumps([self._facts, kind, *texts]).encode()).hexdigest()
        found = _read(self.folder / digest / FILE)
        if found is not None:
            vectors, seconds = found
            self.saved_seconds += seconds
            return vectors
        began = time.perf_counter()
        vectors = encode()
        self._keep(self.folder / digest, vectors, time.perf_counter() - began)
        return vectors

    def _keep(self, folder: Path, vectors: Tensor, seconds: float) -> None:
        from safetensors.torch import save_file

        if vectors.nbytes > self._limit:
            return

        def fill(folder: Path) -> None:
            save_file({VECTORS: vectors.contiguous()}, folder / FILE, metadata={"seconds": str(seconds)})

        try:
            write_whole(folder, fill)
        except OSError:
            # Another process was faster, or the disk is full: what is not there is encoded again.
            return
        bound(self.folder, self._limit, FILE)


def _read(path: Path) -> tuple[Tensor, float] | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            # Says when it was last used. The time of reading would, but many file systems do not keep it.
            os.utime(path)
            return file.get_tensor(VECTORS), float((file.metadata() or {})["seconds"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
