"""The files of a saved model beside its encoder: what made it, and the pairs that it stores."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, JsonValue

from contsym import checked
from contsym.checked import Count, Several, Words, Written
from contsym.config import several
from contsym.data.part_columns import is_nan
from contsym.data.readers import MAX_LINE
from contsym.data.schema import PlacedRow, Row, check_row, rows_of, table
from contsym.data.text_files import bytes_lines
from contsym.errors import ContsymError, DataError, SettingError
from contsym.files import to_json
from contsym.models.encoders.checkpoints import CARD, METHOD
from contsym.models.encoders.declared import PoolingFacts
from contsym.results.schema import StoredPlugin
from contsym.tasks.schema import TEXT_FIELDS, Inputs, Task

if TYPE_CHECKING:
    from datasets import Dataset

FORMAT = 2
TENSORS = METHOD
"""Heads, label vectors, memory."""
PAIRS = "memory.jsonl"
"""The pairs that the method stores."""
LONGEST_LABEL = 100
"""Most characters of a new label."""
STORED = ("id", "premise", "hypothesis", "relation")
REMEDY = "expected a folder that contsym run --save-model wrote"


class ModelFile(Written):
    """What a saved model is, in CARD; `seen` is also what `--encoder` reads of the folder."""

    format: Count
    strategy: Words
    plugin: StoredPlugin | None
    """The file of a strategy that is not contsym's own."""
    settings: dict[str, JsonValue]
    labels: Annotated[Several[Words], Field(min_length=2, max_length=100_000)]
    """In the order of the scores."""
    inputs: Inputs
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    precision: Literal["fp32", "bf16"]
    n_experiences: Annotated[int, Field(ge=0, le=10_000)]
    n_steps: Count
    """Gradient steps that its encoder has had."""
    n_added: Count
    """Pairs that were added after the run."""
    known_head: Literal["pair", "joint"] | None
    """The frozen head of the known task: over two sentences, or over both as one text."""
    pooling: PoolingFacts
    seen: Several[Words]
    """Tasks that the encoder was trained on."""
    result: dict[str, JsonValue] | None
    """The result of the run, without its curves."""

    @property
    def task(self) -> Task:
        """What it answers."""
        return task_of(self.labels, self.inputs)


def task_of(labels: Sequence[str], inputs: Inputs) -> Task:
    # Not checked as a task's: these are names of classes, such as `news: sport`.
    return Task.model_construct(
        name="saved", summary="Of a saved model.", labels=tuple(labels), inputs=inputs
    )


def with_new_labels(labels: Sequence[str], new_labels: str | Iterable[str]) -> tuple[str, ...]:
    """The labels of a model and further ones. Raises SettingError for one that it has, also in other case, as in data, and
    for what is no name."""
    both = list(labels)
    for new in dict.fromkeys(several(new_labels)):
        if new in labels:
            raise SettingError(f"--new-label {new}: the model has this label; leave it out")
        if not isinstance(new, str) or not 0 < len(new.strip()) == len(new) <= LONGEST_LABEL:
            raise SettingError(
                f"--new-label {new!r:.60}: expected a name of 1 to {LONGEST_LABEL} characters, without spaces around it"
            )
        if near := [label for label in both if label.casefold() == new.casefold()]:
            raise SettingError(
                f"--new-label {new}: {near[0]} is a label already; expected one that differs by more than upper and lower "
                "case"
            )
        both.append(new)
    return tuple(both)


def read_file(folder: Path) -> ModelFile:
    """Raises ContsymError unless the folder is a saved model."""
    path = folder / CARD
    if not path.is_file():
        before = Path(f"{folder.absolute()}.before")
        hint = (
            f"; {before} is the model before a change that was interrupted: rename it"
            if before.is_dir()
            else ""
        )
        raise ContsymError(f"{folder}: no saved model ({CARD} is missing); {REMEDY}{hint}")
    content = checked.read_json(path, REMEDY)
    if not isinstance(content, dict) or "strategy" not in content:
        raise ContsymError(
            f"{path}: of an encoder, as contsym pretrain makes it, not of a saved model; {REMEDY}"
        )
    checked.check_format(content, FORMAT, path)
    file = checked.check(ModelFile, content, path)
    if len(set(file.labels)) < len(file.labels):
        raise ContsymError(f"{path}: labels {', '.join(file.labels)}; expected different ones")
    return file


def write_file(folder: Path, file: ModelFile) -> None:
    (folder / CARD).write_text(to_json(file.model_dump(mode="json")), encoding="utf-8")


def write_pairs(folder: Path, stored: Sequence[Dataset], labels: Sequence[str]) -> None:
    """Write the stored pairs of each experience; no file where there are none."""
    if not any(map(len, stored)):
        return
    with (folder / PAIRS).open("w", encoding="utf-8") as file:
        for experience, pairs in enumerate(stored):
            for row in rows_of(pairs):
                line = {name: row[name] for name in STORED if row[name]}
                if not row["hypothesis"]:
                    line["text"] = line.pop("premise")
                line |= {"label": labels[row["label"]], "experience": experience}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


def read_pairs(folder: Path, file: ModelFile) -> list[Dataset]:
    """The stored pairs of each experience; an empty dataset for one without any."""
    path = folder / PAIRS
    by_experience: list[list[Row]] = [[] for _ in range(file.n_experiences)]
    for where, row in _lines(path) if path.is_file() else ():
        experience = row.get("experience")
        if type(experience) is not int or not 0 <= experience < file.n_experiences:
            raise DataError(f"{where}: experience {experience!r}; expected 0 to {file.n_experiences - 1}")
        by_experience[experience].append(labelled_row(row, where, file.task))
    nothing = table([])
    return [table(rows) if rows else nothing for rows in by_experience]


def _lines(path: Path) -> Iterator[PlacedRow]:
    for number, line in enumerate(bytes_lines(path, MAX_LINE), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: not a JSON object; {REMEDY}")
        yield f"{path}:{number}", row


def labelled_row(row: Mapping[str, Any], where: str, task: Task) -> Row:
    """A checked row with the class number of its label. Raises DataError."""
    return check_row(row, where, task)


def unlabelled_row(row: Mapping[str, Any], where: str, task: Task) -> Row:
    """A checked row whose label is not known; that of another task's data does not count."""
    return check_row({**row, "label": task.labels[0], "relation": "", "kind": ""}, where, task)


def table_rows(given: Any) -> list[dict[str, Any]] | None:
    """The rows of a table in memory, of pandas, Polars, Arrow or `datasets`, with None for what is missing.

    None for what is no such table, as a stream of `datasets`.
    """
    from contsym.data.pair_rows import rows_in_memory

    is_table = hasattr(given, "__len__") and (hasattr(given, "columns") or hasattr(given, "column_names"))
    if is_table and hasattr(given, "to_dicts"):  # Polars
        rows = given.to_dicts()
    elif is_table and hasattr(given, "to_pylist"):  # Arrow
        rows = given.to_pylist()
    elif is_table and hasattr(given, "to_dict"):
        rows = rows_in_memory(given)
    else:
        return None
    return [{str(name): None if is_missing(v) else v for name, v in row.items()} for row in rows]


def is_missing(value: object) -> bool:
    """Whether a table has the value for an empty cell."""
    return value is None or is_nan(value) or type(value).__name__ in ("NAType", "NaTType")


def placed(pairs: Iterable[Any], *, with_label: bool, inputs: Inputs) -> Iterator[PlacedRow]:
    """(place, row) of examples from Python: mappings, or tuples (premise, hypothesis), with a label (.., .., label); of
    single texts also the texts themselves."""
    names = (*TEXT_FIELDS[inputs], "label") if with_label else TEXT_FIELDS[inputs]
    for number, pair in enumerate(pairs, 1):
        where = f"pair {number}" if inputs == "pair" else f"text {number}"
        if isinstance(pair, Mapping):
            yield where, _from_table(pair, inputs)
        elif isinstance(pair, (tuple, list)) and len(pair) == len(names):
            yield where, dict(zip(names, pair, strict=True))
        elif isinstance(pair, str) and len(names) == 1:
            yield where, {names[0]: pair}
        else:
            shown = pair if isinstance(pair, str) else type(pair).__name__
            raise DataError(
                f"{where}: {str(shown)[:60]!r}; expected ({', '.join(names)}), or a dict with these names"
            )


def _from_table(row: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """A row with the names that a person gives it; in a table a single text is a premise."""
    is_checked = inputs == "single" and "text" not in row and not row.get("hypothesis")
    return {**row, "text": row.get("premise")} if is_checked else dict(row)
