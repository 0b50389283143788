"""The figure of the README, from the tables in docs/results.md: python benchmarks/results_figure.py

Pairs until 0.99 against points of MNLI forgotten then, a point per method, with 95% intervals.
"""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
GREY = "#808080"
"""Of text and axes: it can be read on white and on black."""
ROWS = {"pairs": "readings-samples", "points of MNLI forgotten": "readings-forgetting"}
"""What is shown, and the table of the page that has it."""
TARGET = "0.99"
METHODS = {
    "random labels": "#D55E00",
    "k-NN fixed": "#0072B2",
    "k-NN learned": "#009E73",
    "fine-tuning": "#CC79A7",
}
"""Okabe and Ito's colours."""


def row(page: str, name: str) -> list[tuple[float, float, float]]:
    """Mean or median and interval of each method at the target, in the order of METHODS.

    >>> line = "| ours | 0.99 | 5 | 17 \\\\[10, 22\\\\] | +9 \\\\[-7, +10\\\\] |"
    >>> row(f"<!-- evidence: p readings-samples -->\\n{line}\\n", "pairs")
    [(17.0, 10.0, 22.0), (9.0, -7.0, 10.0)]
    """
    _, _, block = page.partition(f" {ROWS[name]} -->\n")
    line = next(line for line in block.splitlines() if line.startswith(f"| ours | {TARGET} |"))
    found = re.findall(r"([+-]?\d[\d.]*) \\\[([+-]?[\d.]+), ([+-]?[\d.]+)\\\]", line)[: len(METHODS)]
    return [(float(value), float(low), float(high)) for value, low, high in found]


def data(page: str) -> str:
    """What the figure shows, which its file says too."""
    return "; ".join(f"{name} at {TARGET}: {row(page, name)}" for name in ROWS)


def draw(page: str, to: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "contsym", "svg.fonttype": "none", "font.size": 11}
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.2), layout="constrained")
    points = zip(METHODS.items(), *(row(page, name) for name in ROWS), strict=True)
    for (name, colour), (x, x_low, x_high), (y, y_low, y_high) in points:
        errors = {"xerr": [[x - x_low], [x_high - x]], "yerr": [[y - y_low], [y_high - y]]}
        axes.errorbar(x, y, **errors, fmt="o", color=colour, markersize=8, capsize=3)
        axes.annotate(
            name, (x, y), (8, 6 if y > 3 else -15), textcoords="offset points", color=colour, weight="bold"
        )
    axes.set_xlabel("pairs needed for an accuracy of 0.99", color=GREY)
    axes.set_ylabel("points of MNLI forgotten", color=GREY)
    axes.tick_params(colors=GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.set_ylim(bottom=0)
    # Without its date, the same table gives the same bytes.
    figure.savefig(to, transparent=True, metadata={"Date": None, "Description": data(page)})


if __name__ == "__main__":
    draw((DOCS / "results.md").read_text("utf-8"), DOCS / "results.svg")
