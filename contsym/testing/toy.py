"""Toy tasks and a tiny encoder with random weights: what strategies are checked on, in seconds."""

from __future__ import annotations

import itertools
import json
import random
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import BertConfig


PHRASES = {
    "borders": "symmetric",
    "is near": "symmetric",
    "is part of": "antisymmetric",
    "is a child of": "antisymmetric",
}
NAMES = ("anna", "ben", "carl", "dora", "emil", "fay", "gus", "hal", "ida", "jon", "kim", "leo")
WORDS = (
    *NAMES,
    *("borders", "is", "near", "part", "of", "a", "child", "likes", "hates", "the", "not", "and"),
)


def relation_rows(seed: int = 0) -> list[dict[str, str]]:
    """Mirrored pairs of every phrase over ordered name pairs, shuffled; half of each kind.

    A task that any method must learn: four relations, told apart by their words.
    """
    rows = [
        {
            "id": f"{phrase}/{a}/{b}",
            "premise": f"{a} {phrase} {b}",
            "hypothesis": f"{b} {phrase} {a}",
            "label": "entailment" if kind == "symmetric" else "contradiction",
            "relation": phrase,
        }
        for phrase, kind in PHRASES.items()
        for a, b in itertools.combinations(NAMES, 2)
    ]
    random.Random(seed).shuffle(rows)  # noqa: S311 - an order, no secret
    return rows


def nli_rows(n: int = 90) -> list[dict[str, str]]:
    """Three-way pairs whose label is read off the hypothesis; balanced."""
    words = {"entailment": "is near", "neutral": "likes", "contradiction": "hates"}
    return [
        {
            "id": f"nli/{i}",
            "premise": f"{NAMES[i % 12]} is near {NAMES[(i // 12 + 5) % 12]}",
            "hypothesis": f"{NAMES[i % 12]} {words[label]} {NAMES[(i // 12 + 5) % 12]}",
            "label": label,
        }
        for i, label in zip(range(n), itertools.cycle(words), strict=False)
    ]


def write_task(folder: Path, rows: list[dict[str, str]], n_test: int) -> Path:
    """The rows as a folder with a train and a test part."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in (("test", rows[:n_test]), ("train", rows[n_test:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), "utf-8")
    return folder


def write_tasks(folder: Path) -> dict[str, str]:
    """Both toy tasks as folders; their sources by task."""
    return {
        "wikidata": str(write_task(folder / "wikidata", relation_rows(), 64)),
        "mnli": str(write_task(folder / "mnli", nli_rows(), 30)),
    }


def save_tokenizer(folder: Path, words: tuple[str, ...] = WORDS, **changes: Any) -> int:
    """A word-piece tokenizer of whole words and letters, so that no text is all unknown.

    `changes` are those of the wrapped tokenizer, as mask_token. Gives the number of its pieces.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import BertProcessing
    from transformers import PreTrainedTokenizerFast

    letters = (*string.ascii_lowercase, *string.digits, *"-.,'")
    extra = [changes["mask_token"]] if "mask_token" in changes else []
    pieces = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *extra, *words, *letters, *(f"##{c}" for c in letters))
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - a token of text
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",  # noqa: S106 - a sign of the vocabulary, no password
        unk_token="[UNK]",  # noqa: S106 - a sign of the vocabulary, no password
        cls_token="[CLS]",  # noqa: S106 - a sign of the vocabulary, no password
        sep_token="[SEP]",  # noqa: S106 - a sign of the vocabulary, no password
        **{"model_max_length": 64, **changes},
    )
    wrapped.save_pretrained(folder)
    return len(vocabulary)


def tiny_config(n_words: int, **changes: Any) -> BertConfig:
    """A BERT of 32 dimensions and two layers."""
    from transformers import BertConfig

    return BertConfig(
        vocab_size=n_words,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        **changes,
    )


def save_encoder(folder: Path) -> Path:
    """That BERT with random weights, the same each time, as safetensors. Returns the folder."""
    import torch
    from transformers import BertModel

    n_words = save_tokenizer(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(tiny_config(n_words)).save_pretrained(folder)
    return folder
