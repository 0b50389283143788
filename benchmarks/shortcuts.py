"""What guessing scores on relation pairs: the majority class, and the label of the relation phrase.

    python benchmarks/shortcuts.py ../shared/data/asymmetricity --shots 64 --seeds 0,1,2

The phrase lookup answers the label that the few-shot pairs gave the phrase, and the majority
class for a phrase they do not hold. No method that scores less has learned anything more.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict

from contsym.config import parse_seeds
from contsym.data.shots import few_shot
from contsym.data.sources import load_task
from contsym.environment import quiet_libraries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("--shots", type=int, default=64)
    parser.add_argument("--seeds", default="0")
    options = parser.parse_args()
    quiet_libraries()
    task = load_task("wikidata", options.source)
    test = list(zip(task.test["relation"], task.test["label"], strict=True))
    for seed in parse_seeds(options.seeds):
        shots = few_shot(task.train, options.shots, seed)
        majority = Counter(shots["label"]).most_common(1)[0][0]
        votes: dict[str, Counter[int]] = defaultdict(Counter)
        for relation, label in zip(shots["relation"], shots["label"], strict=True):
            votes[relation][label] += 1
        guesses = [
            votes[relation].most_common(1)[0][0] if relation in votes else majority for relation, _ in test
        ]
        right = sum(guess == label for guess, (_, label) in zip(guesses, test, strict=True))
        share = max(Counter(label for _, label in test).values()) / len(test)
        print(
            f"seed {seed}: majority class {share:.3f}, relation phrase {right / len(test):.3f} "
            f"({len(votes)} phrases in {options.shots} pairs)"
        )


if __name__ == "__main__":
    main()
