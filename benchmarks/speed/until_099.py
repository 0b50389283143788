"""The fewest training steps on 64 Wikidata pairs that reach 0.99, and their seconds, against the same trainers.

Ways, pairs and what is timed are those of to_099. Each way is trained anew for each of STEPS until its accuracy on
the test pairs is 0.99; counted are the seconds of that training alone. A round is a seed: other pairs, another
order. A way that does not get there is counted with the seconds of the most steps, and the line says so: its
ratio is a lower bound then.

What must hold: contsym's way reaches 0.99 with every seed.
"""

from __future__ import annotations

from contsym.training.parts import training_part
from speed import to_099
from speed.ratios import Comparison, Options, clocked
from speed.to_099 import OTHERS, STRATEGIES, TARGET, WAYS

STEPS = (10, 20, 30, 40, 60, 80, 100)
AIM = 1.5


def measure(options: Options) -> list[Comparison]:
    n_shots, steps = (8, (2, 3)) if options.smoke else (64, STEPS)
    n_seeds = 1 if options.smoke else options.long_repeats
    plan = to_099.prepared(options, n_shots)
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    needed: dict[str, list[int | None]] = {name: [] for name in WAYS}
    for seed in range(n_seeds):
        pairs = training_part(plan.tasks[0], plan.config, seed)
        for name, train in WAYS.items():
            if seed == 0 and not options.smoke:
                # What it imports is no part of training.
                train(to_099.given(plan, name, steps[0]), pairs, seed)
            for n in steps:
                own = to_099.given(plan, name, n)
                took, predict = clocked(lambda own=own, train=train: train(own, pairs, seed))()  # noqa: B023
                reached = to_099.accuracy(predict, plan) >= TARGET
                if reached:
                    break
            seconds[name].append(took)
            needed[name].append(n if reached else None)
    return [
        Comparison(
            measure="until_099",
            name=f"{name}, until {TARGET} on {n_shots} pairs / {other}",
            ours=seconds[name],
            theirs=seconds[other],
            agrees=options.smoke or None not in needed[name],
            agreement=f"{said(needed[name])} steps; {other} {said(needed[other])}, of {steps[-1]} at most",
            aim=AIM,
        )
        for name in STRATEGIES
        for other in OTHERS
    ]


def said(needed: list[int | None]) -> str:
    """
    >>> said([20, None])
    '20, not reached'
    """
    return ", ".join("not reached" if n is None else str(n) for n in needed)
