"""Train a 3 M-parameter GPT-2 on premises and hypotheses: a stand-in for a large language model.

    python benchmarks/tiny_causal_lm.py --mnli FOLDER --out FOLDER
    contsym run --strategy prompt_llm --encoder FOLDER ...

It knows a few hundred thousand words and no facts: it shows that the path from a checkpoint to a score
works and what it costs, and says nothing about large models. It sees the training texts and no label.
Prints the perplexity of the test texts before and after; four layers, 192 dimensions, 6,000 tokens.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from contsym.data.sources import load_task
from contsym.machine import quiet_libraries

END = "<|endoftext|>"
CONTEXT = 256
SEQUENCE = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnli", required=True, help="folder with train.jsonl and test.jsonl, or a source")
    parser.add_argument("--out", required=True, type=Path, help="where the checkpoint goes")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    quiet_libraries()
    torch.manual_seed(options.seed)
    task = load_task("mnli", options.mnli)
    texts = {name: documents(pairs) for name, pairs in (("train", task.train), ("test", task.test))}
    tokenizer = byte_pair_tokenizer(texts["train"])
    rows = {name: sequences(tokenizer, found) for name, found in texts.items()}
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=CONTEXT,
            n_embd=192,
            n_layer=4,
            n_head=4,
            bos_token_id=tokenizer.eos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    before = perplexity(model, rows["test"])
    started = time.perf_counter()
    train(model, rows["train"], options.steps, options.batch_size)
    model.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    found = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "tokens": rows["train"].numel(),
        "steps": options.steps,
        "perplexity_before": round(before, 1),
        "perplexity": round(perplexity(model, rows["test"]), 1),
        "training_seconds": round(time.perf_counter() - started, 1),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
    }
    print(json.dumps(found, indent=1))


def documents(pairs) -> list[str]:
    """Each pair's sentences below one another, without its label."""
    return [f"{p}\n{h}{END}" for p, h in zip(pairs["premise"][:], pairs["hypothesis"][:], strict=True)]


def byte_pair_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """6,000 byte pairs, so that no text is unknown."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=6000, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, model_max_length=CONTEXT)


def sequences(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> torch.Tensor:
    """All texts in one stream, cut into (n, SEQUENCE) token ids."""
    stream = [token for ids in tokenizer(texts)["input_ids"] for token in ids]
    n = len(stream) // SEQUENCE
    return torch.tensor(stream[: n * SEQUENCE]).reshape(n, SEQUENCE)


def train(model: GPT2LMHeadModel, rows: torch.Tensor, n_steps: int, batch_size: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=n_steps)
    model.train()
    for step in range(n_steps):
        batch = rows[torch.randint(len(rows), (batch_size,))]
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 50 == 0:
            print(f"step {step:>4}  loss {loss.item():.3f}", flush=True)


@torch.inference_mode()
def perplexity(model: GPT2LMHeadModel, rows: torch.Tensor) -> float:
    """exp of the mean loss of a token, in evaluation mode."""
    model.eval()
    losses = [model(input_ids=part, labels=part).loss * len(part) for part in rows.split(32)]
    return float(torch.exp(torch.stack(losses).sum() / len(rows)))


if __name__ == "__main__":
    main()
