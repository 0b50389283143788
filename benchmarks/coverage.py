"""How often the intervals hold the truth and the tests call equal methods different, by simulation.

    python benchmarks/coverage.py [--trials 500]

Seeded: it prints the same on every machine with the same NumPy and SciPy.
"""

from __future__ import annotations

import argparse

import numpy as np

from contsym.results.metrics.stats import compare_all, summarise_values

N_ITEMS = 400
ACCURACY = 0.8


def over_seeds(n_seeds: int, n_trials: int, generator: np.random.Generator) -> float:
    """Share of intervals of `summarise_values` that hold the mean, of normal values."""
    draws = generator.normal(ACCURACY, 0.02, (n_trials, n_seeds))
    found = [summarise_values(values) for values in draws]
    return float(np.mean([s.low <= ACCURACY <= s.high for s in found]))


def answers(n_seeds: int, deviation: float, item: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Right or wrong, (seeds, items): items differ in how hard they are, seeds in their accuracy."""
    accuracy = ACCURACY + deviation * generator.standard_normal((n_seeds, 1))
    return 0.5 * item + 0.5 * generator.random((n_seeds, len(item))) < accuracy


def pairs(n_seeds: int, deviation: float, n_trials: int, generator: np.random.Generator) -> tuple[float, ...]:
    """Of two methods that do not differ: intervals that hold 0, and p below 0.05 by each test and by all."""
    rows = []
    for _ in range(n_trials):
        item = generator.random(N_ITEMS)
        a, b = (answers(n_seeds, deviation, item, generator) for _ in range(2))
        (c,) = compare_all({"a": a, "b": b})
        tests = (c.p_mcnemar, c.p_bootstrap, 1.0 if c.p_seeds is None else c.p_seeds, c.p)
        rows.append((c.low <= 0 <= c.high, *(p < 0.05 for p in tests)))
    return tuple(map(float, np.mean(rows, axis=0)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500)
    n_trials = parser.parse_args().trials
    generator = np.random.default_rng(0)
    print("| seeds | interval of a mean holds it |\n|---|---|")
    for n_seeds in (2, 3, 5, 10):
        print(f"| {n_seeds} | {over_seeds(n_seeds, n_trials, generator):.3f} |")
    print(
        "\n| seeds | deviation of seeds | interval holds 0 | McNemar | bootstrap | t over seeds | all three |"
    )
    print("|---|---|---|---|---|---|---|")
    for n_seeds in (1, 3, 5, 10):
        for deviation in (0.0, 0.01, 0.05):
            cells = [f"{share:.3f}" for share in pairs(n_seeds, deviation, n_trials, generator)]
            if n_seeds == 1:
                cells[3] = "-"  # no t test of one seed
            print(f"| {n_seeds} | {deviation} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
