"""Toy tasks and a tiny encoder with random weights, to check strategies in seconds."""

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


def relation_rows() -> list[dict[str, str]]:
    """Mirrored pairs of every phrase over pairs of names, shuffled; half of each kind.

    Any method must learn this task: the words distinguish the four relations.
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
    random.Random(0).shuffle(rows)  # noqa: S311 - not a secret
    return rows


def nli_rows(n: int = 90) -> list[dict[str, str]]:
    """Balanced pairs of three labels, which the hypothesis determines."""
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


def reworded(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The same labels for other sentences: a relation pair reversed, an NLI pair with an article before it."""
    pairs = [
        (row["hypothesis"], row["premise"])
        if "relation" in row
        else ("the " + row["premise"], "the " + row["hypothesis"])
        for row in rows
    ]
    return [
        {**row, "id": f"{row['id']}/reworded", "premise": premise, "hypothesis": hypothesis}
        for row, (premise, hypothesis) in zip(rows, pairs, strict=True)
    ]


def write_task(folder: Path, rows: list[dict[str, str]], n_test: int) -> Path:
    """Write the rows into a folder, as a train and a test part, and 18 test pairs in other words as a validation part."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in (
        ("test", rows[:n_test]),
        ("train", rows[n_test:]),
        ("validation", reworded(rows[:n_test][:18])),
    ):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), "utf-8")
    return folder


def write_tasks(folder: Path) -> dict[str, str]:
    """Write both toy tasks; returns their folders by task."""
    return {
        "wikidata": str(write_task(folder / "wikidata", relation_rows(), 64)),
        "mnli": str(write_task(folder / "mnli", nli_rows(), 30)),
    }


def save_tokenizer(folder: Path, words: tuple[str, ...] = WORDS, **changes: Any) -> int:
    """Save a word-piece tokenizer of whole words and letters; returns the number of pieces.

    `changes` are options of the tokenizer, such as mask_token.
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
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token=special["unk_token"]))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    options = {**special, "model_max_length": 64, **changes}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **options).save_pretrained(folder)
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
    """Save the tiny BERT with constant random weights; returns the folder."""
    import torch
    from transformers import BertModel

    n_words = save_tokenizer(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(tiny_config(n_words)).save_pretrained(folder)
    return folder
