"""Fixtures that several files share: tiny checkpoints, made once a session."""

from __future__ import annotations

import os
from pathlib import Path

# Before any library reads them: no test may reach the network.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Tests may run beside other work, and threads that wait for a busy core cost tenfold.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from contsym.toy import save_encoder, save_tokenizer, tiny_config


@pytest.fixture(scope="session")
def tiny_encoder_folder(tmp_path_factory) -> Path:
    """A BERT of 32 dimensions with random weights, saved as safetensors."""
    return save_encoder(tmp_path_factory.mktemp("tiny-encoder"))


@pytest.fixture(scope="session")
def tiny_nli_folder(tmp_path_factory) -> Path:
    """The same with an NLI head whose outputs are contradiction, entailment, neutral."""
    import torch
    from transformers import BertForSequenceClassification

    folder = tmp_path_factory.mktemp("tiny-nli")
    n_words = save_tokenizer(folder)
    names = ("contradiction", "entailment", "neutral")
    torch.manual_seed(0)
    config = tiny_config(
        n_words,
        id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder
