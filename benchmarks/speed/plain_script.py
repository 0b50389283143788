"""The default run as a research script with sentence-transformers; first_answer compares contsym with it.

    python benchmarks/speed/plain_script.py ENCODER MNLI WIKIDATA

ENCODER is a folder that `contsym export` wrote, with its NLI head over [p, h, |p - h|, p * h]; the others are folders
with train.jsonl, validation.jsonl and test.jsonl. The method is k-NN with a fixed distance (Yuan and Vlachos 2025,
arXiv 2504.16312): label embeddings h / p with contsym's guard, a contrastive loss over the pairs of a batch, and the
vote of the nearest stored pairs. Measured is what a run measures: the test pairs of both tasks and a linear probe on
MNLI before training and after it, and validation pairs of both tasks after 1, 2, 4, ... steps.

Texts to be scored go through `SentenceTransformer.encode` as it comes (float32, 32 a batch, sorted by length), premises
apart from hypotheses. The memory of the last point and the vectors of MNLI's test pairs serve twice; nothing else is kept.
It looks for no leak or shortcut, does not measure how far weights and features move, and stores and tracks nothing.
Prints the accuracies as JSON: of MNLI and Wikidata before and after, those of the probe, and those of the points.
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
    parser.add_argument("--penalty", type=float, default=1000.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    random.seed(args.seed)
    model = SentenceTransformer(str(args.encoder), device=args.device)
    head = load_file(args.encoder / "nli_head.safetensors")
    mnli, wikidata = read(args.mnli), read(args.wikidata)

    def vectors(rows):
        return [
            model.encode([row[side] for row in rows], convert_to_tensor=True, show_progress_bar=False).cpu()
            for side in ("premise", "hypothesis")
        ]

    def features(rows):
        p, h = vectors(rows)
        return torch.cat([p, h, (p - h).abs(), p * h], dim=1)

    def known(vectors, rows):
        return accuracy((vectors @ head["linear.weight"].T + head["linear.bias"]).argmax(dim=1), rows)

    def embeddings(p, h):
        ridge = args.guard**2 * p.square().mean(dim=1, keepdim=True)
        return normalize(h * p / (p.square() + ridge), dim=1)

    def voted(rows, memory, stored):
        nearest = (embeddings(*vectors(rows)) @ memory.T).topk(args.neighbours).indices
        votes = one_hot(labels(stored)[nearest], len(LABELS)).sum(dim=1)
        return accuracy(votes.argmax(dim=1), rows)

    def looked(stored):
        memory, part = embeddings(*vectors(stored)), mnli["validation"]
        return (known(features(part), part), voted(wikidata["validation"], memory, stored)), memory

    def tested(memory):
        of_test = features(mnli["test"])
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=1 / args.penalty, tol=1e-3))
        probe.fit(features(mnli["train"]).numpy(), labels(mnli["train"]).numpy())
        probed = accuracy(torch.from_numpy(probe.predict(of_test.numpy())), mnli["test"])
        return [known(of_test, mnli["test"]), voted(wikidata["test"], memory, wikidata["train"])], probed

    point, memory = looked(wikidata["train"])
    points = [(0, point)]
    before, probe_before = tested(memory)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=args.learning_rate, weight_decay=args.weight_decay, fused=True
    )
    seen: dict[str, dict[str, str]] = {}
    waiting: list[dict[str, str]] = []
    for step in range(1, args.steps + 1):
        if not waiting:
            waiting = random.sample(wikidata["train"], len(wikidata["train"]))
        batch, waiting = waiting[: args.batch_size], waiting[args.batch_size :]
        seen |= {row["id"]: row for row in batch}
        model.train()
        p, h = (
            model(to(model.preprocess([row[side] for row in batch]), args.device))["sentence_embedding"]
            for side in ("premise", "hypothesis")
        )
        vector = embeddings(p, h)
        distances = 1 - vector @ vector.T
        right = labels(batch).to(args.device)
        losses = torch.where(right[:, None] == right, distances**2, torch.relu(args.margin - distances) ** 2)
        loss = losses[~torch.eye(len(batch), dtype=torch.bool)].mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip_norm)
        optimizer.step()
        if step == args.steps or not step & (step - 1):
            # At the end the memory has every pair.
            point, memory = looked([*seen.values()] if step < args.steps else wikidata["train"])
            points.append((step, point))
    after, probe_after = tested(memory)
    found = {"before": before, "after": after, "probe": [probe_before, probe_after], "points": points}
    print(json.dumps(found))


def to(inputs, device):
    return {name: value.to(device) if hasattr(value, "to") else value for name, value in inputs.items()}


def accuracy(predicted, rows):
    return (predicted == labels(rows)).float().mean().item()


def labels(rows):
    return torch.tensor([LABELS.index(row["label"]) for row in rows])


def read(folder):
    parts = {part: folder / f"{part}.jsonl" for part in ("train", "validation", "test")}
    return {part: [json.loads(line) for line in path.open(encoding="utf-8")] for part, path in parts.items()}


if __name__ == "__main__":
    main()
