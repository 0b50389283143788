"""A tiny classifier that has learned its task, a copy with one damaged layer, and the pairs of the task."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from contsym.testing.toy import nli_rows, save_tokenizer, tiny_config

DAMAGED, DAMAGE = "layer 2", 4.0
LABELS = ("entailment", "neutral", "contradiction")


@pytest.fixture(scope="session")
def pairs_file(tmp_path_factory) -> Path:
    """90 pairs of three labels with a skill each, in one file."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = [{**row, "skill": "odd" if i % 2 else "even"} for i, row in enumerate(nli_rows())]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A BERT of three layers whose joint head answers every pair of the file correctly."""
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    folder = tmp_path_factory.mktemp("trained")
    n_words = save_tokenizer(folder)
    config = tiny_config(
        n_words, id2label=dict(enumerate(LABELS)), label2id={n: i for i, n in enumerate(LABELS)}
    )
    config.num_hidden_layers = 3
    rows = nli_rows()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertForSequenceClassification(config)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        batch = tokenizer(
            [r["premise"] for r in rows], [r["hypothesis"] for r in rows], padding=True, return_tensors="pt"
        )
        labels = torch.tensor([LABELS.index(r["label"]) for r in rows])
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for _ in range(60):
            optimizer.zero_grad()
            model(**batch, labels=labels).loss.backward()
            optimizer.step()
        model.eval()
        assert (model(**batch).logits.argmax(1) == labels).all(), "the toy task is learned"
    model.save_pretrained(folder)
    return folder


def copy_of(folder: Path, to: Path) -> Path:
    """The same checkpoint with another note in its file of weights: not known as the same, so it is measured."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, to)
    weights = to / "model.safetensors"
    save_file(load_file(weights), weights, metadata={"format": "pt", "note": "a copy"})
    return to


@pytest.fixture(scope="session")
def twin(trained, tmp_path_factory) -> Path:
    return copy_of(trained, tmp_path_factory.mktemp("twin") / "model")


@pytest.fixture(scope="session")
def damaged(trained, tmp_path_factory) -> Path:
    """The same with noise on every tensor of its second layer, DAMAGE times as long as the tensor."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("damaged") / "model"
    shutil.copytree(trained, folder)
    weights = load_file(folder / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    for name, tensor in weights.items():
        if ".layer.1." in name:
            noise = torch.randn(tensor.shape, generator=generator)
            tensor += DAMAGE * tensor.norm() / noise.norm() * noise
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
