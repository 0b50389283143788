"""The figures that the paper reports, read from paper.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Method:
    strategy: str
    """Its name in contsym."""
    title: str
    samples: int
    forgetting: float
    """In percentage points."""


@dataclass(frozen=True)
class Paper:
    source: str
    title: str
    protocol: str
    encoder: str
    mnli_train: int
    """The number of MNLI training pairs."""
    methods: tuple[Method, ...]


def read_paper() -> Paper:
    text = resources.files("contsym.report").joinpath("paper.toml").read_text("utf-8")
    entries = tomllib.loads(text)
    return Paper(**{**entries, "methods": tuple(Method(**method) for method in entries["methods"])})
