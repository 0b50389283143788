"""What the files of a checkpoint tell before its weights are loaded: its title, its method, whether two are the same."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from contsym.errors import ContsymError
from contsym.models.encoders import checkpoints
from contsym.models.encoders.checkpoints import EncoderFiles
from contsym.models.encoders.nli_head import kind_of_head
from contsym.models.encoders.resolve import with_limit, with_pooling
from contsym.results.store import MODEL
from contsym.training.trained_file import read_file


def are_same(old: EncoderFiles, new: EncoderFiles) -> bool:
    """Whether two checkpoints have the same weights, tokenizer, pooling, heads and method."""

    def facts(files: EncoderFiles) -> tuple[object, ...]:
        method = files.root / checkpoints.METHOD
        pooling = with_limit(with_pooling(files)).pooling
        assert pooling is not None
        return pooling.facts(), hashlib.sha256(method.read_bytes()).digest() if method.is_file() else None

    digests = [(files.weights_sha256, files.text_files_sha256) for files in (old, new)]
    return digests[0] == digests[1] and facts(old) == facts(new)


def title_of(files: EncoderFiles) -> str:
    """The name for people: as given, but of a model in the folder of its result the strategy and the short key."""
    key, strategy = files.root.parent.name, method_name(files)
    is_stored = files.root.name == MODEL and re.fullmatch(r"[0-9a-f]{64}", key)
    return f"{strategy} {key[:8]}" if strategy and is_stored else files.name


def method_name(files: EncoderFiles) -> str | None:
    """The strategy of a model that contsym run saved; None for any other checkpoint."""
    if not (files.root / checkpoints.METHOD).is_file():
        return None
    try:
        return read_file(files.root).strategy
    except ContsymError:  # `methods.saved_method` says so
        return None


def unused_labels(files: EncoderFiles) -> tuple[str, ...]:
    """The labels of a classifier whose labels are not those of NLI."""
    config = checkpoints.read_config(files.folder)
    labels = config.get("id2label")
    is_classifier = "SequenceClassification" in str(config.get("architectures"))
    if not is_classifier or kind_of_head(files) is not None or not isinstance(labels, Mapping):
        return ()
    return tuple(str(label)[:100] for label in labels.values())
