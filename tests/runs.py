"""Runs on the toy tasks with a tiny encoder, for the tests of what acts between experiences."""

from __future__ import annotations

from contsym.config import RunConfig
from contsym.results import store
from contsym.scenarios.catalog import find_scenario
from contsym.training.keys import key_of
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.run import run_seed
from tests.strategy_settings import SETTINGS

BARE = {"curve": False, "audit": False}
"""For tests that look neither at a trajectory nor at shortcuts."""


def toy_config(toy, encoder, output, strategy, scenario="mnli_then_wikidata", **changes):
    """A run of the toy data; few steps at a rate that the tiny encoder learns with."""
    tasks = find_scenario(scenario).tasks
    settings = {"learning_rate": "3e-3", "steps": "12", **changes.pop("settings", {})}
    return RunConfig(
        strategy=strategy,
        scenario=scenario,
        encoder=str(encoder),
        sources={task: toy[task] for task in tasks},
        settings=settings,
        output=output,
        device="cpu",
        precision="fp32",
        **{"curve": False, "audit": False, "protocol": "sequential", **changes},
    )


def toy_run(toy, encoder, output, strategy, scenario="mnli_then_wikidata", seed=0, cache=None, **changes):
    """Result, prediction rows and tensors of one seed."""
    plan = prepare(toy_config(toy, encoder, output, strategy, scenario, **changes))
    return run_seed(plan, seed, Silent(), cache)


def without_time(result):
    """A result without the entries that differ between equal runs."""
    from contsym.results.equality import untimed

    plain = result.model_dump(exclude={"seconds", "started_at", "cost", "threads", "git_commit"})
    return {**plain, "cost": untimed(result.cost)}


def costs(result, name):
    """One cost of a result, by experience."""
    return [getattr(cost, name) for cost in result.cost.experiences]


def config(toy, encoder, tmp_path, strategy, scenario="wikidata_only", **changes):
    """A run with the settings that its strategy is tested with, and everything else as it comes."""
    tasks = find_scenario(scenario).tasks
    settings = {**SETTINGS[strategy], **changes.pop("settings", {})}
    return RunConfig(
        strategy=strategy,
        scenario=scenario,
        encoder=str(toy["encoders"].get(strategy, encoder)),
        sources={task: toy[task] for task in tasks},
        settings=settings,
        output=tmp_path,
        device="cpu",
        precision="fp32",
        **{"protocol": "sequential", **changes},
    )


def one_seed(toy, encoder, tmp_path, strategy, scenario="wikidata_only", seed=0, **changes):
    plan = prepare(config(toy, encoder, tmp_path, strategy, scenario, **changes))
    return run_seed(plan, seed, Silent())


def result_folder(plan, seed=0):
    """Where `run_seeds` stores a seed of the plan."""
    return store.result_folder(plan.config.output, key_of(plan, seed))


def stored_results(output):
    """Every stored result of an output folder, those of the latest run first."""
    from contsym.sweeps.runs import stored_runs

    return [result for run in stored_runs(output) for result in run.results()]
