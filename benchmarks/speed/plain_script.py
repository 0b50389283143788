"""A run of two tasks as a straightforward research script does it; what full_run compares contsym with.

    python benchmarks/speed/plain_script.py ENCODER MNLI WIKIDATA --steps 100

ENCODER is a transformers checkpoint, the others are folders with train.jsonl and test.jsonl. The
method is that of contsym's text_labels: d_c(p, h) = 1 - cos(h, p * l_c), with l_c the encoding of the word
for label c; d^2 for the right label plus max(0, margin - d)^2 for each other one. Nothing is done to be quick:
the label words are encoded with every batch, in training and evaluation, premises and hypotheses each in a pass
of their own, all texts are padded to one fixed length, in float32, and every evaluation encodes all test pairs
as they come. It does less than a run of contsym: no learning curve, no search for leaks and shortcuts, no
probe, nothing stored or tracked. Prints the accuracy matrix as JSON: before training, and after each task.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import torch
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

LABELS = ["entailment", "neutral", "contradiction"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("encoder")
    parser.add_argument("tasks", nargs="+", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--clip-norm", type=float, default=1.0)
    parser.add_argument("--margin", type=float, default=0.5)
    parser.add_argument("--length", type=int, default=128, help="tokens that every text is padded to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    random.seed(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(args.encoder)
    model = AutoModel.from_pretrained(args.encoder).to(args.device)
    tasks = [(read(folder / "train.jsonl"), read(folder / "test.jsonl")) for folder in args.tasks]

    def encode(texts):
        tokens = tokenizer(
            texts, padding="max_length", truncation=True, max_length=args.length, return_tensors="pt"
        ).to(args.device)
        states = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"][:, :, None].float()
        return (states * mask).sum(1) / mask.sum(1)

    def distances(batch):
        premises = encode([row["premise"] for row in batch])
        hypotheses = encode([row["hypothesis"] for row in batch])
        labels = encode(LABELS)
        carried = premises[:, None, :] * labels[None, :, :]
        return 1 - functional.cosine_similarity(hypotheses[:, None, :], carried, dim=-1)

    def accuracy(rows):
        model.eval()
        right = 0
        with torch.no_grad():
            for i in range(0, len(rows), args.batch_size):
                batch = rows[i : i + args.batch_size]
                predicted = distances(batch).argmin(dim=1).tolist()
                right += sum(LABELS[p] == row["label"] for p, row in zip(predicted, batch, strict=True))
        return right / len(rows)

    matrix = [[accuracy(test) for _, test in tasks]]
    for train, _ in tasks:
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=args.learning_rate, weight_decay=args.weight_decay
        )
        model.train()
        waiting: list[dict[str, str]] = []
        for _ in range(args.steps):
            if not waiting:
                waiting = random.sample(train, len(train))
            batch, waiting = waiting[: args.batch_size], waiting[args.batch_size :]
            d = distances(batch)
            right = torch.tensor(
                [[row["label"] == label for label in LABELS] for row in batch], device=args.device
            )
            loss = torch.where(right, d**2, torch.relu(args.margin - d) ** 2).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip_norm)
            optimizer.step()
        matrix.append([accuracy(test) for _, test in tasks])
    print(json.dumps({"matrix": matrix}))


def read(path):
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


if __name__ == "__main__":
    main()
