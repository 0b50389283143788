"""The default run as a research script has it with sentence-transformers; what first_answer compares contsym with.

    python benchmarks/speed/plain_script.py ENCODER MNLI WIKIDATA

ENCODER is a folder that `contsym export` wrote, with its NLI head over [p, h, |p - h|, p * h]; the others are folders
with train.jsonl, validation.jsonl and test.jsonl. The method is k-NN with a fixed distance (Yuan and Vlachos 2025,
arXiv 2504.16312): label embeddings h / p with contsym's guard, a contrastive loss over the pairs of a batch, and the
vote of the nearest stored pairs. Measured is what a run measures: the test pairs of both tasks and a linear probe on
MNLI before training and after it, and validation pairs of both tasks after 1, 2, 4, ... steps.

Texts to be scored go through `SentenceTransformer.encode` as it comes (float32, 32 a batch, sorted by length), whenever
they are needed. Premises and hypotheses are encoded one after the other. It looks for no leak or shortcut, and stores
and tracks nothing. Prints the accuracies as JSON: of MNLI and Wikidata before and after, and those of the probe.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn.functional import normalize, one_hot

LABELS = ["entailment", "neutral", "contradiction"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("encoder", type=Path)
    parser.add_argument("mnli", type=Path)
    parser.add_argument("wikidata", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--clip-norm", type=float, default=1.0)
    parser.add_argument("--margin", type=float, default=0.5)
    parser.add_argument("--guard", type=float, default=0.5)
    parser.add_argument("--neighbours", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    random.seed(args.seed)
    model = SentenceTransformer(str(args.encoder), device="cpu")
    head = load_file(args.encoder / "nli_head.safetensors")
    mnli, wikidata = read(args.mnli), read(args.wikidata)

    def vectors(rows):
        return [
            model.encode([row[side] for row in rows], convert_to_tensor=True, show_progress_bar=False)
            for side in ("premise", "hypothesis")
        ]

    def features(rows):
        p, h = vectors(rows)
        return torch.cat([p, h, (p - h).abs(), p * h], dim=1)

    def known(rows):
        scores = features(rows) @ head["linear.weight"].T + head["linear.bias"]
        return accuracy(scores.argmax(dim=1), rows)

    def embeddings(p, h):
        ridge = args.guard**2 * p.square().mean(dim=1, keepdim=True)
        return normalize(h * p / (p.square() + ridge), dim=1)

    def voted(rows, stored):
        memory, queries = embeddings(*vectors(stored)), embeddings(*vectors(rows))
        nearest = (queries @ memory.T).topk(args.neighbours).indices
        return accuracy(one_hot(labels(stored)[nearest], len(LABELS)).sum(dim=1).argmax(dim=1), rows)

    def probed():
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=100))
        probe.fit(features(mnli["train"]).numpy(), labels(mnli["train"]).numpy())
        return accuracy(torch.from_numpy(probe.predict(features(mnli["test"]).numpy())), mnli["test"])

    def tested():
        accuracies = [known(mnli["test"]), voted(wikidata["test"], wikidata["train"])]
        return accuracies, probed()

    before, probe_before = tested()
    seen, curve, due = [], [], 1
    curve.append((0, known(mnli["validation"]), voted(wikidata["validation"], wikidata["train"])))
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.learning_rate, weight_decay=args.weight_decay)
    waiting: list[dict[str, str]] = []
    for step in range(1, args.steps + 1):
        if not waiting:
            waiting = random.sample(wikidata["train"], len(wikidata["train"]))
        batch, waiting = waiting[: args.batch_size], waiting[args.batch_size :]
        seen += batch
        model.train()
        p, h = (
            model(model.preprocess([row[side] for row in batch]))["sentence_embedding"]
            for side in ("premise", "hypothesis")
        )
        vector = embeddings(p, h)
        distances = 1 - vector @ vector.T
        same = labels(batch)[:, None] == labels(batch)
        losses = torch.where(same, distances**2, torch.relu(args.margin - distances) ** 2)
        loss = losses[~torch.eye(len(batch), dtype=torch.bool)].mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip_norm)
        optimizer.step()
        if step in (due, args.steps):
            due *= 2
            distinct = list({row["id"]: row for row in seen}.values())
            curve.append((step, known(mnli["validation"]), voted(wikidata["validation"], distinct)))
    after, probe_after = tested()
    print(
        json.dumps({"before": before, "after": after, "probe": [probe_before, probe_after], "curve": curve})
    )


def accuracy(predicted, rows):
    return (predicted == labels(rows)).float().mean().item()


def labels(rows):
    return torch.tensor([LABELS.index(row["label"]) for row in rows])


def read(folder):
    parts = {part: folder / f"{part}.jsonl" for part in ("train", "validation", "test")}
    return {part: [json.loads(line) for line in path.open(encoding="utf-8")] for part, path in parts.items()}


if __name__ == "__main__":
    main()
