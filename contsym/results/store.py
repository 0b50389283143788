"""Results on disk: one folder per result, `OUTPUT/results/KEY`, written atomically."""

from __future__ import annotations

import csv
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from contsym import checked
from contsym.checked import Skip, tell_skipped
from contsym.errors import ContsymError
from contsym.files import save_tensors, shield, to_json, write_whole
from contsym.results.schema import FORMAT, SeedResult

if TYPE_CHECKING:
    from torch import Tensor

RESULT = "result.json"
PREDICTIONS = "predictions.csv"
TENSORS = "label_vectors.safetensors"
MODEL = "model"
"""The folder of the trained model, where it was to be saved."""
_KEY = re.compile(r"[0-9a-f]{64}")
"""A SHA-256; other names of folders are the user's own."""
SCORES = "scores."
"""Before the name of a task: the tensor of its scores, (rows of R, test pairs, labels), float16."""


def results_folder(output: Path) -> Path:
    return output / "results"


def result_folder(output: Path, key: str) -> Path:
    return results_folder(output) / key


def is_stored(output: Path, key: str) -> bool:
    # The folder is complete when it appears; a later damage is an error of the reader.
    return result_folder(output, key).is_dir()


def model_folder(output: Path, key: str) -> Path:
    return result_folder(output, key) / MODEL


def has_model(output: Path, key: str) -> bool:
    return model_folder(output, key).is_dir()


def check_writable(output: Path) -> None:
    """Raise ContsymError, before anything is trained, where the output folder cannot be made or written; makes nothing."""
    try:
        folder = results_folder(output)
        there = next(path for path in (folder, *folder.parents) if path.exists())
        probe = there / f".probe-{secrets.token_hex(4)}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise ContsymError(
            f"--output {output} cannot be written ({error.strerror}); expected a folder that you "
            "may write to; name another with --output"
        ) from None


def write_result(
    output: Path,
    result: SeedResult,
    predictions: Sequence[Mapping[str, object]],
    tensors: Mapping[str, Tensor],
    fill_model: Callable[[Path], None] | None = None,
) -> Path:
    """Store a result under its key, atomically, with the model that `fill_model` writes into a folder; returns its
    folder.

    If another process has stored this key, its result is the same and stays. Raises ContsymError if the folder
    cannot be written, as on a full disk.
    """
    text = to_json(result.model_dump(mode="json"))

    def fill(folder: Path) -> None:
        (folder / RESULT).write_text(text, encoding="utf-8")
        with (folder / PREDICTIONS).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(predictions[0]))
            writer.writeheader()
            # Ids come from data that contsym does not trust.
            writer.writerows({name: shield(str(v)) for name, v in row.items()} for row in predictions)
        if tensors:
            save_tensors(tensors, folder / TENSORS)
        if fill_model:
            (folder / MODEL).mkdir()
            fill_model(folder / MODEL)

    folder = result_folder(output, result.key)
    try:
        write_whole(folder, fill)
    except OSError as error:
        if not is_stored(output, result.key):
            raise ContsymError(
                f"{folder}: cannot be written ({error.strerror or error}); mend that, then the same command resumes"
            ) from None
    return folder


def add_model(output: Path, key: str, fill_model: Callable[[Path], None]) -> None:
    """Store a model beside a stored result, atomically. Raises ContsymError if the folder cannot be written."""
    folder = model_folder(output, key)
    try:
        write_whole(folder, fill_model)
    except OSError as error:
        if not folder.is_dir():
            raise ContsymError(
                f"{folder}: cannot be written ({error.strerror or error}); mend that, then the same command resumes"
            ) from None


def read_result(path: Path) -> SeedResult:
    """The result in a folder or a file.

    Raises ContsymError unless contsym wrote the file, and where its folder has the key of another result as its name.
    """
    path = path / RESULT if path.is_dir() else path
    content = checked.read_json(path, "expected a stored result")
    checked.check_format(content, FORMAT, path)
    result = checked.check(SeedResult, content, path)
    folder = path.absolute().parent.name
    if _KEY.fullmatch(folder) and folder != result.key:
        raise ContsymError(
            f"{path}: the result with the key {result.key[:12]}, in the folder of the key {folder[:12]}; expected the "
            "result that was stored there"
        )
    return result


def read_results(folders: Iterable[Path], skip: Skip = tell_skipped) -> dict[Path, SeedResult]:
    """The results in these folders; `skip` receives the error of each that cannot be read."""
    results = {}
    for folder in folders:
        try:
            results[folder] = read_result(folder)
        except ContsymError as error:
            skip(error)
    return results


def read_readable(folders: Iterable[Path], skip: Skip = tell_skipped) -> dict[Path, SeedResult]:
    """The same, but raises the first error if no result can be read."""
    errors: list[ContsymError] = []
    results = read_results(folders, errors.append)
    if errors and not results:
        raise errors[0]
    for error in errors:
        skip(error)
    return results
