"""How a worker of a sweep takes memory, for training on a CPU: in huge pages, and kept between steps.

A training step takes and gives back some hundred megabytes: gradients, above all that of the word embeddings.
glibc hands blocks of that size back to the kernel each time and takes them anew, page by page. How it does that is
a setting of the process which it reads once, before any code of ours. What is computed is the same to the bit.
What it is worth: benchmarks/allocation.py, docs/performance.md.
"""

from __future__ import annotations

import os
import platform

VARIABLE = "GLIBC_TUNABLES"
FIRST_GLIBC = (2, 35)
"""The first that asks for huge pages."""
KEPT_BYTES = 2**30
"""Blocks up to this size stay with the process, as do so many free bytes in all."""


def variables() -> dict[str, str]:
    """What a new process should have in its environment; nothing without glibc, or where the user has set it."""
    name, version = platform.libc_ver()
    if name != "glibc" or VARIABLE in os.environ:
        return {}
    if tuple(map(int, version.split(".")[:2])) < FIRST_GLIBC:
        return {}
    settings = {"hugetlb": 1, "mmap_threshold": KEPT_BYTES, "trim_threshold": KEPT_BYTES}
    return {VARIABLE: ":".join(f"glibc.malloc.{name}={value}" for name, value in settings.items())}
