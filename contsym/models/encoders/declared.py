"""The pooling of an encoder: what its folder declares, read and written as sentence-transformers does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from contsym.checked import Count, Words, Written
from contsym.errors import EncoderError

MAX_LENGTH = 128
"""Tokens of a text by default; longer texts are cut. MultiNLI's longest sentences reach 400, 1% pass 70."""

MODE_NAMES = ("mean", "cls", "last", "max", "mean_sqrt_len", "weighted_mean")
AUTO, DECLARED = "auto", "declared"
POOLINGS = (AUTO, DECLARED, *MODE_NAMES)
"""The values of `--pooling`."""

NORMALIZE = "normalize"

MODULES = "modules.json"
"""The list of modules in a sentence-transformers folder: the transformer, its pooling, later layers."""

LENGTH_FILES = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
PROMPTS = "config_sentence_transformers.json"

# In the order in which sentence-transformers concatenates them.
FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weighted_mean",
    "pooling_mode_lasttoken": "last",
}
NAMES = {
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weighted_mean",
    "lasttoken": "last",
    **{mode: mode for mode in ("cls", "max", "mean")},
}
ACTIVATIONS = ("Tanh", "Identity", "ReLU", "GELU", "Sigmoid", "SiLU")
"""Names in torch.nn that need no arguments."""


@dataclass(frozen=True)
class Dense:
    """A linear layer after the pooling, with its activation."""

    weights: Path
    sha256: str
    n_in: int
    n_out: int
    has_bias: bool
    activation: str


@dataclass(frozen=True)
class Pooling:
    """How a text becomes a vector: prompt and length, the pooling of token states, and later layers."""

    modes: tuple[str, ...] = ("mean",)
    """The vectors of several modes are concatenated."""
    after: tuple[Dense | str, ...] = ()
    """Dense layers and NORMALIZE, in order."""
    max_length: int = MAX_LENGTH
    """Tokens of a text, at most; the tokenizer and the positions may allow fewer."""
    prompt: str = ""
    """The prefix of each text."""
    includes_prompt: bool = True
    """Whether the prompt's tokens are pooled with the others."""
    is_lower_case: bool = False
    origin: str = "default"
    """Where these values come from, for people."""

    def facts(self) -> PoolingFacts:
        return PoolingFacts(
            modes=list(self.modes),
            after=[
                {"dense": layer.sha256, "activation": layer.activation} if isinstance(layer, Dense) else layer
                for layer in self.after
            ],
            max_length=self.max_length,
            prompt=self.prompt,
            includes_prompt=self.includes_prompt,
            lower_case=self.is_lower_case,
        )

    def words(self) -> str:
        """For the plan, such as `cls, normalised; at most 64 tokens (declared)`."""
        return f"{self.facts().words} ({self.origin})"


class PoolingFacts(Written):
    """The parts of a pooling that decide a vector, for keys and results."""

    modes: list[Words]
    after: list[Words | dict[str, Words]]
    max_length: Count
    prompt: Words
    includes_prompt: bool
    lower_case: bool

    @property
    def kind(self) -> str:
        """For people, without the length."""
        phrases = [" + ".join(self.modes)]
        phrases += ["normalised" if layer == NORMALIZE else "a dense layer" for layer in self.after]
        phrases += ["lower case"] if self.lower_case else []
        if self.prompt:
            phrases.append(f"prompt {self.prompt!r}" + ("" if self.includes_prompt else " (not pooled)"))
        return ", ".join(phrases)

    @property
    def words(self) -> str:
        return f"{self.kind}; at most {self.max_length} tokens"


def transformer_folder(folder: Path) -> Path:
    """The folder of the transformer: the one that modules.json names, or the folder itself."""
    if not (folder / MODULES).is_file():
        return folder
    kind, path = next(iter(_modules(folder)), ("nothing", folder))
    if kind.rpartition(".")[2] != "Transformer":
        raise EncoderError(
            f"{folder / MODULES}: begins with {kind}; expected Transformer, a checkpoint of transformers"
        )
    return path


def declared(folder: Path) -> Pooling | None:
    """The pooling that a sentence-transformers folder declares; None for a cross-encoder and any other folder.

    Raises EncoderError for a declaration that cannot be read, and for modules that contsym lacks.
    """
    if not (folder / MODULES).is_file():
        return None
    kinds = _modules(folder)
    pooling = _length(transformer_folder(folder))
    if kinds[0][0] != "Transformer":
        raise _unusable(folder, f"has {kinds[0][0]}, whose code contsym does not run")
    if len(kinds) == 1:
        return None
    origin = ""
    for kind, path in kinds[1:]:
        if kind == "Pooling" and not origin and not (path / "config.json").is_file():
            origin = f"default: {path} has no config.json"
        elif kind == "Pooling" and not origin:
            modes, includes_prompt = _modes(path)
            pooling, origin = replace(pooling, modes=modes, includes_prompt=includes_prompt), DECLARED
        elif kind in ("Normalize", "Dense") and origin:
            layer = _normalize(path) if kind == "Normalize" else _dense(path)
            pooling = replace(pooling, after=(*pooling.after, layer))
        elif kind != "Dropout":  # which acts in training alone
            raise _unusable(folder, f"has {kind}, which contsym does not apply")
    if not origin:
        raise _unusable(folder, "has no Pooling")
    return replace(pooling, prompt=_prompt(folder), origin=origin)


def read_as_declared(root: Path, folder: Path) -> Pooling:
    """Plain mean pooling with the length and the prompt that a folder declares, or contsym's defaults.

    Without modules.json its other declarations count for nothing, as in sentence-transformers; the origin says so.
    """
    if not (root / MODULES).is_file():
        unused = [name for name in ("1_Pooling", *LENGTH_FILES, PROMPTS) if (root / name).exists()]
        remark = f"; {', '.join(unused)} not used without {MODULES}" if unused else ""
        return Pooling(origin=f"default{remark}")
    return replace(_length(folder), prompt=_prompt(root))


def write(folder: Path, pooling: Pooling, width: int) -> None:
    """Declare a pooling beside a transformer's weights, for sentence-transformers to read; `width` is that of the states.

    The caller writes the weights of Dense layers, into the folders of `dense_folders`.
    """
    modes: dict[str, Any] = {flag: mode in pooling.modes for flag, mode in FLAGS.items()}
    if pooling.modes != tuple(mode for mode in FLAGS.values() if mode in pooling.modes):
        # Flags have no order. Names have one, but sentence-transformers reads them only from release 6 on.
        names = {mode: name for name, mode in NAMES.items()}
        modes = {"pooling_mode": [names[mode] for mode in pooling.modes]}
    pooled = {"word_embedding_dimension": width, **modes, "include_prompt": pooling.includes_prompt}
    _write(folder / "1_Pooling" / "config.json", pooled)
    listed = [("Transformer", ""), ("Pooling", "1_Pooling")]
    for i, layer in enumerate(pooling.after, 2):
        kind = "Dense" if isinstance(layer, Dense) else "Normalize"
        listed.append((kind, f"{i}_{kind}"))
        if isinstance(layer, Dense):
            activation = f"torch.nn.modules.{'linear' if layer.activation == 'Identity' else 'activation'}"
            sizes = {"in_features": layer.n_in, "out_features": layer.n_out, "bias": layer.has_bias}
            dense = {**sizes, "activation_function": f"{activation}.{layer.activation}"}
            _write(folder / f"{i}_{kind}" / "config.json", dense)
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(listed)
    ]
    _write(folder / MODULES, modules)
    lengths = {"max_seq_length": pooling.max_length, "do_lower_case": pooling.is_lower_case}
    _write(folder / LENGTH_FILES[0], lengths)
    prompts = {"prompts": {"contsym": pooling.prompt}, "default_prompt_name": "contsym"}
    _write(folder / PROMPTS, prompts if pooling.prompt else {})


def dense_folders(pooling: Pooling) -> list[str]:
    """The folders in which `write` puts the Dense layers."""
    return [f"{i}_Dense" for i, layer in enumerate(pooling.after, 2) if isinstance(layer, Dense)]


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")


def _unusable(folder: Path, reason: str) -> EncoderError:
    return EncoderError(
        f"{folder / MODULES}: {reason}; give --pooling mean, cls, last or max to pool its transformer's states alone"
    )


def _modules(folder: Path) -> list[tuple[str, Path]]:
    """(class, folder) of each module; a class outside sentence-transformers has its full name."""
    modules = []
    for module in read_content(folder / MODULES, list):
        kind, path = (module.get(n) for n in ("type", "path")) if isinstance(module, dict) else (None, None)
        place = PurePosixPath(path) if isinstance(path, str) else None
        # A checkpoint from anyone must not name files outside it.
        if not isinstance(kind, str) or place is None or place.is_absolute() or ".." in place.parts:
            raise EncoderError(
                f"{folder / MODULES}: {json.dumps(module)[:100]} is no module; expected a type and a path inside the folder"
            )
        name = kind.rpartition(".")[2] if kind.startswith("sentence_transformers.") else kind
        modules.append((name, folder / place))
    return modules


def read_content(path: Path, shape: type, writer: str = "sentence-transformers") -> Any:
    """The JSON list or object (`shape`) in a file of a checkpoint. Raises EncoderError for any other content."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, shape):
        kind = "list" if shape is list else "object"
        raise EncoderError(f"{path}: missing, or not a JSON {kind}; expected what {writer} writes")
    return content


def _typed(path: Path, config: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    value: Any = config.get(name)
    if value is None:
        return default
    # bool is an int in Python.
    is_count = kind is int and not isinstance(value, bool) and isinstance(value, int) and value > 0
    if not isinstance(value, kind) or (kind is int and not is_count):
        expected = {int: "a number from 1", bool: "true or false", str: "text"}[kind]
        raise EncoderError(f"{path}: {name} is {json.dumps(value)[:60]}; expected {expected}")
    return value


def _length(folder: Path) -> Pooling:
    path = next((folder / name for name in LENGTH_FILES if (folder / name).is_file()), None)
    config = {} if path is None else read_content(path, dict)
    path = path or folder / LENGTH_FILES[0]
    return Pooling(
        max_length=_typed(path, config, "max_seq_length", int, _tokenizer_limit(folder)),
        is_lower_case=_typed(path, config, "do_lower_case", bool, False),
    )


def _tokenizer_limit(folder: Path) -> int:
    """The limit of the tokenizer, where sentence-transformers writes the length from release 6 on; else the default."""
    path = folder / "tokenizer_config.json"
    limit = read_content(path, dict, "transformers").get("model_max_length") if path.is_file() else None
    # transformers writes 10**30 for none.
    return limit if type(limit) is int and 0 < limit < 10**9 else MAX_LENGTH


def _modes(folder: Path) -> tuple[tuple[str, ...], bool]:
    path = folder / "config.json"
    config = read_content(path, dict)
    names = config.get("pooling_mode")
    if names is None:
        on = [name for name, value in config.items() if name.startswith("pooling_mode_") and value]
        unknown = [name for name in on if name not in FLAGS]
        modes = [mode for flag, mode in FLAGS.items() if config.get(flag)]
    else:
        names = [str(name) for name in (names if isinstance(names, list) else [names])]
        unknown = [name for name in names if name not in NAMES]
        modes = [NAMES[name] for name in names if name in NAMES]
    if unknown or not modes:
        raise EncoderError(
            f"{path}: {', '.join(unknown) or 'no pooling mode'} is declared; expected some of {', '.join(NAMES)}; "
            "give --pooling mean, cls, last or max in its place"
        )
    return tuple(modes), _typed(path, config, "include_prompt", bool, True)


def _is_of_vectors(config: Mapping[str, Any]) -> bool:
    names = (config.get(f"module_{side}_name") for side in ("input", "output"))
    return all(name in (None, "sentence_embedding") for name in names)


def _normalize(folder: Path) -> str:
    path = folder / "config.json"
    if path.is_file() and not _is_of_vectors(read_content(path, dict)):
        raise EncoderError(
            f"{path}: token states are normalised, which is not applied; give --pooling mean, cls, last or max to leave it "
            "out"
        )
    return NORMALIZE


def _dense(folder: Path) -> Dense:
    path, weights = folder / "config.json", folder / "model.safetensors"
    config = read_content(path, dict)
    module, _, activation = str(
        config.get("activation_function", "torch.nn.modules.activation.Tanh")
    ).rpartition(".")
    if not module.startswith("torch.nn") or activation not in ACTIVATIONS:
        reason = f"activation {config.get('activation_function')} is none of {', '.join(ACTIVATIONS)}"
    elif config.get("use_residual") or not _is_of_vectors(config):
        reason = "a residual layer, or one over token states, is not applied"
    elif not weights.is_file():
        reason = "its weights are no model.safetensors"
    else:
        n_in, n_out = (_typed(path, config, name, int, None) for name in ("in_features", "out_features"))
        if n_in and n_out:
            digest = hashlib.sha256(weights.read_bytes()).hexdigest()
            return Dense(weights, digest, n_in, n_out, _typed(path, config, "bias", bool, True), activation)
        reason = "in_features or out_features is missing"
    raise EncoderError(f"{path}: {reason}; give --pooling mean, cls, last or max to leave it out")


def _prompt(folder: Path) -> str:
    path = folder / PROMPTS
    if not path.is_file():
        return ""
    config = read_content(path, dict)
    name, prompts = config.get("default_prompt_name"), config.get("prompts")
    if name is None:
        return ""
    if not isinstance(prompts, dict) or not isinstance(prompts.get(name), str):
        raise EncoderError(
            f"{path}: default_prompt_name {name!r} is none of its prompts; expected one of them"
        )
    return prompts[name]
