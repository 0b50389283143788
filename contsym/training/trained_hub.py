"""Saved models on the Hub, fetched completely."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from contsym.checked import tell_skipped
from contsym.data import hub_client
from contsym.errors import ContsymError
from contsym.models.encoders.saved import ADAPTERS
from contsym.training.trained_file import CARD, PAIRS, TENSORS

WANTED = (
    *("*.safetensors", "*.json", "*.txt", "*.model", PAIRS),
    *(f"[0-9]*_*/{name}" for name in ("config.json", "model.safetensors")),
    *(f"{ADAPTERS}/*/{name}" for name in ("adapter_config.json", "adapter_model.safetensors")),
)
"""Files that make a saved model; no pickles, no code."""


def fetch_model(name: str) -> Path:
    """The folder of OWNER/NAME[@REVISION] in the Hub cache, complete. Raises ContsymError."""
    repository_id, _, revision = name.partition("@")
    repository = hub_client.Repository("model", repository_id, revision or None)
    cached = hub_client.cached(repository)
    if (
        cached
        and repository.is_pinned
        and cached.files is not None
        and not cached.missing(_wanted(cached.files))
    ):
        return cached.folder
    try:
        snapshot = hub_client.ask(repository)
    except hub_client.Refused as refused:
        is_complete = cached and cached.files is not None and not cached.missing(_wanted(cached.files))
        # A revision that the Hub does not know must not be answered by another.
        if cached and is_complete and refused.reason != "revision":
            tell_skipped(
                ContsymError(f"model {name!r}: {refused}; commit {cached.commit} of the Hub cache is used")
            )
            return cached.folder
        raise ContsymError(f"model {name!r} is not here: {refused}") from None
    wanted = _wanted(snapshot.names)
    if lacking := [file for file in (CARD, TENSORS) if file not in wanted]:
        raise ContsymError(
            f"model {name!r}: the repository has no {lacking[0]}; expected a model that contsym export wrote; an encoder "
            "is for contsym run --encoder"
        )
    snapshot.fetch(wanted)
    snapshot.keep()
    return snapshot.folder


def _wanted(names: Iterable[str]) -> list[str]:
    return [name for name in names if any(_fits(name, pattern) for pattern in WANTED)]


def is_of_a_model(name: str) -> bool:
    """Whether a saved model may have a file or folder of this name at its top."""
    return any(fnmatchcase(name, pattern.partition("/")[0]) for pattern in WANTED)


def _fits(name: str, pattern: str) -> bool:
    """Whether each part of a path fits that of a pattern."""
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))
