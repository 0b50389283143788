"""Stored results as MLflow runs: parameters, tags and metrics as plain values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from contsym.results.matrix_files import matrices_of
from contsym.results.reading import reading

if TYPE_CHECKING:
    from contsym.results.schema import SeedResult, StoredSource
    from contsym.results.summary import Means


Metrics = list[tuple[str, float, int]]
"""(key, value, step)."""

RunStatus = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
NOTE = "mlflow.note.content"
"""The tag with the description that MLflow shows, in Markdown."""

AFTER_EACH = ("training_steps", "training_forwards", "stored_bytes_after")
"""Costs that are sent per experience, at its row of R."""
TOTALS = (
    *(
        "training_seconds",
        "pairs_seen",
        "trajectory_seconds",
        "encoder_forwards",
        "encoder_forwards_evaluation",
    ),
    *("trained_parameters", "stored_bytes", "peak_memory_bytes"),
)
"""Costs that are sent once, for the whole run."""

MAX_LOSSES = 1000
"""Points of a loss curve that are sent; a longer one is thinned."""


@dataclass
class Record:
    """One MLflow run as plain values; times in milliseconds since 1970."""

    name: str
    started: int
    ended: int
    timestamp: int
    """Of every metric."""
    params: dict[str, str]
    tags: dict[str, str]
    metrics: Metrics
    sources: Mapping[str, StoredSource] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    """Content of small files by name, as matrix.csv: R with a header and row names."""
    status: RunStatus = "FINISHED"
    files: list[Path] = field(default_factory=list)
    """Sent if they exist and are not links."""
    model: Path | None = None
    """The folder of the trained model, which becomes a logged model of the run."""


def safe(name: str) -> str:
    """The name as part of a key that MLflow accepts.

    >>> safe("part of [P361], in/on")
    'part of _P361__ in_on'
    """
    return re.sub(r"^\.*$", "_", re.sub(r"[^\w.\- ]", "_", name))


def by_safe_name(shares: Mapping[str, float]) -> dict[str, float]:
    """The shares of labels under names that MLflow accepts; names that become equal are numbered.

    >>> by_safe_name({"a/b": 0.5, "a|b": 0.5})
    {'a_b': 0.5, 'a_b_2': 0.5}
    """
    found: dict[str, float] = {}
    for label, share in shares.items():
        name = safe(label)
        n = sum(1 for other in found if re.fullmatch(rf"{re.escape(name)}(_\d+)?", other))
        found[f"{name}_{n + 1}" if n else name] = share
    return found


def encoder_of(result: SeedResult) -> str:
    """The name of a result's encoder, for one from the Hub with the commit that was used."""
    from contsym.models.encoders.presets import PRESETS

    name, commit = result.encoder, result.encoder_weights.commit
    # A preset with a hash is the same from every source.
    if not commit or (name in PRESETS and PRESETS[name].sha256):
        return name
    return f"{name.partition('@')[0]}@{commit}"


def seed_record(result: SeedResult) -> Record:
    """The child run of one seed."""
    from contsym.results.summary import summarise

    started, seed = start_of(result), str(result.seed)
    params, tags = _facts(result)
    tags |= {"contsym.seed": seed, "contsym.key": result.key}
    # As `contsym metrics` has it of the result: without tasks that are only tested.
    (matrix,) = matrices_of([result])
    rows = zip(["untrained", *matrix.tasks], matrix.rows, strict=True)
    table: list[list[object]] = [["after", *matrix.tasks], *([name, *row] for name, row in rows)]
    return Record(
        name=f"seed-{seed}",
        started=started,
        ended=end_of(result),
        timestamp=started,
        params={**params, "seed": seed},
        tags=tags,
        metrics=[*_final_metrics(result.tasks, summarise([result])), *_course_metrics(result)],
        sources=result.sources,
        texts={"matrix.csv": as_csv(table)},
    )


def parent_record(results: Sequence[SeedResult], timestamp: int) -> Record:
    """The parent run of one row: the facts that its seeds have in common, and the means over them.

    `timestamp` is that of the means: MLflow shows the latest, which must be that over most seeds.
    """
    from contsym.results.summary import summarise

    mean = summarise(results)
    params, tags = (
        dict(set.intersection(*(set(facts.items()) for facts in part)))
        for part in zip(*map(_facts, results), strict=True)
    )
    last = len(mean.matrix) - 1
    metrics = [*_final_metrics(results[0].tasks, mean), *_needed(results)]
    for task, kinds in mean.by_kind.items():
        metrics += [(f"accuracy/{safe(task)}/{safe(k)}", a, last) for k, a in kinds.items()]
    return Record(
        name=f"{params['strategy']}, {'all' if results[0].options.shots is None else params['shots']} shots",
        started=min(map(start_of, results)),
        ended=max(map(end_of, results)),
        timestamp=timestamp,
        params=params,
        tags={
            **tags,
            "contsym.reading": reading(results),
            "contsym.seeds": ",".join(str(result.seed) for result in results),
        },
        metrics=metrics,
    )


def _needed(results: Sequence[SeedResult]) -> Metrics:
    """The median of the examples that the seeds needed of the new task, where all reached the target."""
    task = results[0].new_task
    needed = [r.search.found if r.search else r.sample_efficiency[task].n_distinct_pairs for r in results]
    reached = sorted(n for n in needed if n is not None)
    return [(samples_key(task), reached[len(reached) // 2], 0)] if len(reached) == len(needed) else []


def samples_key(task: str) -> str:
    return f"sample_efficiency/{safe(task)}/n_distinct_pairs"


def _facts(result: SeedResult) -> tuple[dict[str, str], dict[str, str]]:
    """Parameters and tags: how a result was made, without its seed."""
    options, sources = result.options, result.sources
    names = ("strategy", "scenario", "encoder", "device", "precision", "threads")
    params = {name: getattr(result, name) for name in names}
    plain = {name: value for name, value in options if name not in ("shots", "sizes", "pretrain", "pooling")}
    params |= {name: value for name, value in plain.items() if value is not None}
    sizes = {"shots": options.shots, **{f"{task}_size": n for task, n in options.sizes.items()}}
    params |= {name: "all" if n is None else n for name, n in sizes.items()}
    params |= {f"pretrain.{safe(name)}": value for name, value in options.pretrain.items()}
    params |= {"pooling": result.pooling.kind, "max_length": result.pooling.max_length}
    params |= {f"settings.{safe(name)}": value for name, value in result.settings.items()}
    tags = {f"version.{safe(name)}": version for name, version in result.versions.items()}
    tags |= {f"encoder_weights.{name}": value for name, value in result.encoder_weights if value is not None}
    tags |= {"platform": result.platform, "git_commit": result.git_commit or "none"}
    for plugin in result.plugins:
        params[f"plugin.{plugin.kind}"] = plugin.origin
        tags[f"plugin.{plugin.kind}.sha256"] = plugin.sha256
    tags["contsym.reading"] = reading([result])
    if result.notes:
        tags["contsym.notes"] = "; ".join(result.notes)
    tags["contsym.seen"] = ",".join(result.seen) or "none"
    for task, source in sources.items():
        params[f"source.{safe(task)}"] = tags[f"contsym.source.{safe(task)}"] = source.name
        tags[f"data.{safe(task)}.fingerprint"] = source.fingerprint
    return {name: str(value) for name, value in params.items()}, tags


def _final_metrics(tasks: Sequence[str], mean: Means) -> Metrics:
    """R and the figures that follow from it, of one seed or of the mean; step = row of R."""
    figures: dict[str, float | None] = {
        "accuracy_macro": mean.final_macro,
        "accuracy_micro": mean.final_micro,
        **mean.figures,
        "seconds": mean.seconds,
        "probe_forgetting": mean.probe_forgetting,
        "relearning/n_pairs": mean.relearning_pairs,
    }
    for name, figure in mean.trajectory_figures.items():
        by_task = (
            {f"/{safe(t)}": value for t, value in figure.items()}
            if isinstance(figure, dict)
            else {"": figure}
        )
        figures |= {f"trajectory/{name}{task}": value for task, value in by_task.items()}
    figures |= {f"forgetting/{safe(task)}": f for task, f in mean.forgetting.items()}
    figures |= mark_figures(mean)
    last = len(mean.matrix) - 1
    for task, shares in mean.true.items():
        figures |= {f"label_share/{safe(task)}/{name}": s for name, s in by_safe_name(shares).items()}
    for task, scores in mean.shortcuts.items():
        figures |= {f"shortcut/{safe(task)}/{safe(name)}": score for name, score in scores.items()}
        figures[f"above_best_shortcut/{safe(task)}"] = mean.above_best_shortcut[task]
    return [
        *(
            (f"accuracy/{safe(task)}", accuracy, i)
            for i, row in enumerate(mean.matrix)
            for task, accuracy in zip(tasks, row, strict=True)
        ),
        *((key, value, last) for key, value in figures.items() if value is not None),
        *_answer_metrics(tasks, mean),
    ]


def _answer_metrics(tasks: Sequence[str], mean: Means) -> Iterator[tuple[str, float, int]]:
    """What was answered on each task, at the row after its own training and at the last."""
    last = len(mean.matrix) - 1
    for j, task in enumerate(tasks, 1):
        for step, time in {j: "own", last: "final"}.items():
            answers = mean.answers[task][time]  # type: ignore[index]
            yield f"macro_f1/{safe(task)}", answers.macro_f1, step
            yield f"calibration_error/{safe(task)}", answers.calibration_error, step
            for name, share in by_safe_name(answers.predicted).items():
                yield f"predicted/{safe(task)}/{name}", share, step


def mark_figures(mean: Means) -> dict[str, float]:
    """Whether a task was learned and is above its shortcuts: 1 or 0 for a seed, of several seeds their share.

    Metrics, since MLflow draws, sorts and filters runs by them beside the forgetting; a tag stands in no chart.
    """
    return {f"learned/{safe(task)}": share for task, share in mean.learned.items()} | {
        f"above_shortcuts/{safe(task)}": share for task, share in mean.above_shortcuts.items()
    }


def _course_metrics(result: SeedResult) -> Iterator[tuple[str, float, int]]:
    """Kinds by row of R, the trajectory by pairs seen, the loss by step, and the costs."""
    for task, rows in result.by_kind.items():
        for i, kinds in enumerate(rows):
            for kind, measured in kinds.items():
                yield f"accuracy/{safe(task)}/{safe(kind)}", measured.accuracy, i
    for point in result.trajectory:
        key, step = f"trajectory/{safe(result.tasks[point.experience])}", point.n_pairs_seen
        values = {f"accuracy/{safe(task)}": a for task, a in zip(result.tasks, point.accuracies, strict=True)}
        values |= {name: getattr(point, name) for name in ("weights_distance", "features_distance")}
        values["distinct_pairs"] = point.n_distinct_pairs
        yield from ((f"{key}/{name}", value, step) for name, value in values.items() if value is not None)
    if result.relearning:
        yield "relearning/n_pairs_tried", result.relearning.n_pairs_tried, len(result.tasks)
        yield "relearning/target", result.relearning.target, len(result.tasks)
    for task, least in result.sample_efficiency.items():
        for name, n_pairs in least:
            if n_pairs is not None:
                yield f"sample_efficiency/{safe(task)}/{safe(name)}", n_pairs, 0
    if result.search:
        yield from (("search/accuracy", tried.accuracy, tried.n) for tried in result.search.tried)
        yield from [("search/found", result.search.found, 0)] if result.search.found else []
    for task, losses in zip(result.tasks, result.loss, strict=True):
        every = -(-len(losses) // MAX_LOSSES) or 1
        for step in range(len(losses), 0, -every):  # backwards, so that the last is among them
            yield f"loss/{safe(task)}", losses[step - 1], step
    for i, cost in enumerate(result.cost.experiences, 1):
        yield from ((f"cost/{name}", getattr(cost, name), i) for name in AFTER_EACH)
    yield from ((f"cost/{name}", result.cost.total(name), 0) for name in TOTALS)


def as_csv(rows: Iterable[Sequence[object]]) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def start_of(result: SeedResult) -> int:
    return int(1000 * datetime.fromisoformat(result.started_at).timestamp())


def end_of(result: SeedResult) -> int:
    return start_of(result) + int(1000 * result.seconds)


def experiment_name(scenario: str) -> str:
    """
    >>> experiment_name("order:wikidata,mnli"), experiment_name("../mine.toml")
    ('contsym/order', 'contsym/mine')
    """
    # Of a path the name alone: the experiment's folder of artifacts is called so.
    name, is_file, _ = Path(scenario).name.partition(".toml")
    return f"contsym/{name if is_file else scenario.partition(':')[0]}"
