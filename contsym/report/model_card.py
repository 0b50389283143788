"""A saved model for others: its folder with a model card, without the paths of this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contsym.data.sources import source_label
from contsym.results.metrics.stats import wilson_interval
from contsym.results.mlflow_records import encoder_of
from contsym.results.summary import mark_words, seen_before
from contsym.sweeps.rerun_command import run_commands

if TYPE_CHECKING:
    from contsym.results.schema import SeedResult
    from contsym.training.trained import TrainedModel


def fill_export(folder: Path, model: TrainedModel, name: str) -> None:
    """Write the model into an empty folder, with its card as README.md; `name` is what others load it by."""
    result = model.result
    shared = None if result is None else without_paths(result)
    plugin = model.file.plugin
    changes: dict[str, Any] = {"result": None if shared is None else shared.model_dump(mode="json")}
    if plugin:
        changes["plugin"] = plugin.model_copy(update={"origin": source_label(plugin.origin)})
    model.fill(folder, model.file.model_copy(update=changes))
    (folder / "README.md").write_text(card(model, shared, name), encoding="utf-8")


def without_paths(result: SeedResult) -> SeedResult:
    """The result with the last part of each path alone."""
    sources = {
        name: source.model_copy(update={"name": source_label(source.name)})
        for name, source in result.sources.items()
    }
    asked = {task: source_label(source) for task, source in result.asked.sources.items()}
    plugins = [plugin.model_copy(update={"origin": source_label(plugin.origin)}) for plugin in result.plugins]
    is_path = result.encoder_weights.origin.startswith("folder")
    return result.model_copy(
        update={
            "sources": sources,
            "asked": result.asked.model_copy(update={"sources": asked}),
            "plugins": plugins,
            "encoder": Path(result.encoder).name if is_path else result.encoder,
            "scenario_file": result.scenario_file and Path(result.scenario_file).name,
        }
    )


def card(model: TrainedModel, result: SeedResult | None, name: str) -> str:
    """The model card in Markdown, with the metadata that the Hub reads."""
    lines = [*_metadata(model, result), f"# {Path(name).name}", ""]
    what = "texts" if _is_single(model) else "pairs"
    lines += [
        f"{model.file.strategy} of contsym: labels {what if _is_single(model) else 'pairs of sentences'} as "
        f"{', '.join(model.labels)}."
    ]
    if model.file.n_added:
        lines += [
            "",
            f"{model.file.n_added:,} labelled {what} were added after its training, without a gradient step.",
        ]
    lines += ["", "## Use", "", *_use(model, name)]
    if result is not None:
        lines += [*_data(result), *_figures(result), *_repetition(result)]
    return "\n".join(lines) + "\n"


def _is_single(model: TrainedModel) -> bool:
    return model.file.inputs == "single"


def _metadata(model: TrainedModel, result: SeedResult | None) -> Iterator[str]:
    yield "---"
    yield "library_name: sentence-transformers"
    yield "pipeline_tag: sentence-similarity"
    tags = [
        "contsym",
        "sentence-transformers",
        "continual-learning",
        "natural-language-inference",
        model.file.strategy,
    ]
    yield f"tags: {json.dumps(tags)}"
    if result is not None and result.encoder_weights.commit:
        yield f"base_model: {json.dumps(encoder_of(result).partition('@')[0])}"
    yield "---"


def _use(model: TrainedModel, name: str) -> Iterator[str]:
    yield "Labels, by contsym:"
    yield "```console"
    origin = model.file.plugin.origin if model.file.plugin else ""
    plugin = f" --plugin {Path(origin).name}" if origin.endswith(".py") else ""
    if _is_single(model):
        yield f"$ contsym predict {name} texts.jsonl{plugin}"
    else:
        yield f'$ contsym predict {name} --pair "Spain borders Portugal" "Portugal borders Spain"{plugin}'
    yield "```"
    yield "Vectors of sentences, by sentence-transformers:"
    yield "```python"
    yield "from sentence_transformers import SentenceTransformer"
    yield f'SentenceTransformer("{name}").encode(["Spain borders Portugal"])'
    yield "```"
    yield f"Pooling: {model.file.pooling.words}."


def _data(result: SeedResult) -> Iterator[str]:
    yield from (
        "",
        "## Data",
        "",
        "| task | source | training pairs | test pairs | SHA-256 of the data |",
        "|---|---|--:|--:|---|",
    )
    for task in result.tasks:
        source = result.sources[task]
        names = source.title if task == source.task else f"{task} ({source.title})"
        counts = f"{source.rows.train:,} | {source.rows.test:,}"
        yield f"| {names} | {source.name} | {counts} | `{source.fingerprint[:16]}` |"
    if warning := seen_before(result):
        yield from ("", f"{warning}.")


def _figures(result: SeedResult) -> Iterator[str]:
    yield from (
        "",
        "## Figures",
        "",
        f"On the test pairs, seed {result.seed}, with 95% Wilson intervals.",
        "",
    )
    yield from (
        "| task | right after its training | at the end | forgetting | majority class | |",
        "|---|--:|--:|--:|--:|---|",
    )
    for j, task in enumerate(result.tasks):
        own, final = (
            _share(result.matrix[row][j], result.n_test[task]) for row in (j + 1, len(result.tasks))
        )
        forgetting = f"{result.forgetting[task]:+.3f}" if task in result.forgetting else ""
        marks = mark_words([result.learned[task]], [result.above_shortcuts[task]])
        yield f"| {task} | {own} | {final} | {forgetting} | {result.majority[task]:.3f} | {marks} |"
    for note in result.notes:
        yield from ("", note)


def _share(share: float, n: int) -> str:
    """
    >>> _share(0.5, 100)
    '0.500 [0.404, 0.596]'
    """
    low, high = wilson_interval(round(share * n), n)
    return f"{share:.3f} [{low:.3f}, {high:.3f}]"


def _repetition(result: SeedResult) -> Iterator[str]:
    yield from ("", "## The same again", "", "```console")
    for command in run_commands([result]):
        yield f"$ {command} \\\n  --save-model"
    yield "```"
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    yield f"Result `{result.key[:16]}`; {versions}; {result.device}, {result.precision}, {result.threads} threads."
