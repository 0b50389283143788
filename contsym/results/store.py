"""Results on disk: one folder per result, `OUTPUT/results/KEY`, which appears atomically."""

from __future__ import annotations

import csv
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from contsym import checked
from contsym.checked import Skip, tell_skipped
from contsym.errors import ContsymError
from contsym.files import shield, to_json, write_whole
from contsym.results.schema import FORMAT, SeedResult

if TYPE_CHECKING:
    from torch import Tensor

RESULT = "result.json"
PREDICTIONS = "predictions.csv"
TENSORS = "label_vectors.safetensors"


def results_folder(output: Path) -> Path:
    """Where an output folder (`mlruns`) keeps its results."""
    return output / "results"


def result_folder(output: Path, key: str) -> Path:
    """Where the result of that key is, whichever run or sweep made it."""
    return results_folder(output) / key


def is_stored(output: Path, key: str) -> bool:
    # The folder appears with its result in it; a reader says where it was damaged since.
    return result_folder(output, key).is_dir()


def check_writable(output: Path) -> None:
    """Make the output folder, or raise ContsymError before anything is trained."""
    try:
        folder = results_folder(output)
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{secrets.token_hex(4)}"
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
) -> Path:
    """Store a result under its key, atomically; gives its folder.

    Another process that stored the same key first has stored the same result.
    Raises ContsymError where it cannot be written, as on a full disk.
    """
    text = to_json(result.model_dump(mode="json"))

    def fill(folder: Path) -> None:
        (folder / RESULT).write_text(text, encoding="utf-8")
        with (folder / PREDICTIONS).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(predictions[0]))
            writer.writeheader()
            # Ids come from data, which may be anyone's.
            writer.writerows({name: shield(str(v)) for name, v in row.items()} for row in predictions)
        if tensors:
            from safetensors.torch import save_file

            contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
            save_file(contiguous, folder / TENSORS)

    folder = result_folder(output, result.key)
    try:
        write_whole(folder, fill)
    except OSError as error:
        if not is_stored(output, result.key):
            raise ContsymError(
                f"{folder}: cannot be written ({error.strerror or error}); stored results are kept; mend that, "
                "then the same command resumes"
            ) from None
    return folder


def read_result(path: Path) -> SeedResult:
    """The result in a folder or a file. Raises ContsymError where the file is not what contsym wrote."""
    path = path / RESULT if path.is_dir() else path
    found = checked.read_json(path, "expected a stored result")
    checked.check_format(found, FORMAT, path)
    return checked.check(SeedResult, found, path)


def read_results(folders: Iterable[Path], skip: Skip = tell_skipped) -> dict[Path, SeedResult]:
    """The results in these folders; `skip` is given the error of each that cannot be read."""
    found = {}
    for folder in folders:
        try:
            found[folder] = read_result(folder)
        except ContsymError as error:
            skip(error)
    return found
