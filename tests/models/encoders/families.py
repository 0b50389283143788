"""A tiny checkpoint with random weights of each kind of encoder that people use."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import CONFIG_MAPPING, AutoModel

from contsym.testing.toy import save_tokenizer

BERT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
T5 = {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2}
BART = {
    "d_model": 32,
    **{f"{side}_{name}": 2 for side in ("encoder", "decoder") for name in ("layers", "attention_heads")},
    **{f"{side}_ffn_dim": 48 for side in ("encoder", "decoder")},
    "max_position_embeddings": 64,
}
LLAMA = {**BERT, "num_key_value_heads": 1, "head_dim": 16}

BIDIRECTIONAL = {
    "bert": BERT,
    "roberta": BERT,
    "xlm-roberta": BERT,
    "camembert": BERT,
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48, "max_position_embeddings": 64},
    "albert": {**BERT, "embedding_size": 16},
    "electra": {**BERT, "embedding_size": 16},
    "deberta-v2": {
        **BERT,
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "max_relative_positions": 16,
    },
    "mpnet": BERT,
    "modernbert": {**BERT, "local_attention": 8, "global_attn_every_n_layers": 2},
    "xlnet": {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 48},
    "t5": T5,
    "mt5": T5,
    "bart": BART,
}
DECODERS = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64},
    "llama": LLAMA,
    "mistral": {**LLAMA, "sliding_window": 16},
    "qwen2": LLAMA,
    "qwen3": LLAMA,
    "gemma": LLAMA,
    "opt": {**BERT, "ffn_dim": 48, "word_embed_proj_dim": 16},
    "gpt_neox": BERT,
    "phi": BERT,
}
FAMILIES = {**BIDIRECTIONAL, **DECODERS}


def without_special_tokens(folder: Path) -> None:
    """Let the tokenizer add none to a text, so that an empty one has no token, and have none to pad with."""
    for name, dropped in (("tokenizer.json", "post_processor"), ("tokenizer_config.json", "pad_token")):
        found = json.loads((folder / name).read_text("utf-8"))
        (folder / name).write_text(json.dumps({**found, dropped: None}), "utf-8")


def save_family(folder: Path, kind: str, auto=AutoModel, **changes) -> Path:
    """Its checkpoint in a folder, with the toy tokenizer."""
    sizes = {**FAMILIES[kind], **changes}
    n_words = save_tokenizer(folder)
    if kind in DECODERS:
        without_special_tokens(folder)
    config = CONFIG_MAPPING[kind](
        vocab_size=n_words, **{"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, **sizes}
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = auto.from_config(config)
        for parameter in model.parameters():
            # The usual 0.02 leaves a tiny model nearly constant, and everything close to everything.
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.3)
        model.save_pretrained(folder)
    return folder
