"""Results on disk: one folder for a run, one inside it for each seed, whole or not at all."""

from __future__ import annotations

import csv
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from contsym import checked
from contsym.checked import Skip, tell_skipped
from contsym.errors import ContsymError
from contsym.files import entries, shield, to_json, visible_folders, write_whole
from contsym.results.schema import FORMAT, SeedResult

if TYPE_CHECKING:
    from torch import Tensor

RESULT = "result.json"
PREDICTIONS = "predictions.csv"
TENSORS = "label_vectors.safetensors"
TRACKED = "tracked.json"
_SEED = re.compile(r"seed-[0-9]{1,10}")


def runs_folder(output: Path) -> Path:
    """Where the runs of an output folder (`mlruns`) are kept."""
    return output / "results"


def check_writable(output: Path) -> None:
    """Make the output folder, or raise ContsymError before any work is done."""
    try:
        folder = runs_folder(output)
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{secrets.token_hex(4)}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise ContsymError(
            f"--output {output} cannot be written ({error.strerror}); expected a folder that you "
            "may write to; name another with --output"
        ) from None


def new_run_name(strategy: str, scenario: str) -> str:
    """A folder name that sorts by time and never repeats."""
    # A stored run's name has at most 200 signs.
    words = re.sub(r"[^\w.+-]+", "-", f"{strategy}-{scenario}")[:150]
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{words}-{secrets.token_hex(3)}"


def write_seed(
    run: Path,
    result: SeedResult,
    predictions: Sequence[Mapping[str, object]],
    tensors: Mapping[str, Tensor],
) -> Path:
    """Store one seed's result, predictions and tensors; gives its folder.

    Raises ContsymError where it cannot be written, as on a full disk.
    """
    folder = seed_folder(run, result.seed)
    try:
        write_result(folder, result, predictions, tensors)
    except OSError as error:
        raise ContsymError(
            f"{folder}: cannot be written ({error.strerror or error}); seeds stored before are kept; mend that, "
            "then the same command goes on"
        ) from None
    return folder


def seed_folder(run: Path, seed: int) -> Path:
    return run / f"seed-{seed}"


def write_result(
    folder: Path,
    result: SeedResult,
    predictions: Sequence[Mapping[str, object]],
    tensors: Mapping[str, Tensor],
) -> None:
    """Make the folder of a result, atomically."""
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

    write_whole(folder, fill)


def read_seed(folder: Path) -> SeedResult:
    """One stored seed. Raises ContsymError where the file is not what contsym wrote."""
    return read_result(folder / RESULT)


def read_result(path: Path) -> SeedResult:
    """One stored result, wherever its file is. Raises as `read_seed`."""
    result = checked.read_json(path, "expected a stored result")
    checked.check_format(result, FORMAT, path)
    return checked.check(SeedResult, result, path)


def read_seeds(folders: Iterable[Path], skip: Skip = tell_skipped) -> dict[Path, SeedResult]:
    """The results in these folders; those that cannot be read are told to `skip`."""
    found = {}
    for folder in folders:
        try:
            found[folder] = read_seed(folder)
        except ContsymError as error:
            skip(error)
    return found


def read_run(folder: Path, skip: Skip = tell_skipped) -> dict[Path, SeedResult]:
    """The results of a folder that was named: a seed or a cell, which must be readable, or those of a run.

    Empty where the folder holds no result. Raises ContsymError where none of them can be read.
    """
    if not folder.is_dir() or (folder / RESULT).is_symlink() or (folder / RESULT).exists():
        return {folder: read_seed(folder)}
    errors: list[ContsymError] = []
    found = read_seeds(stored_seeds(folder, errors.append), errors.append)
    if errors and not found:
        raise errors[0]
    for error in errors:
        skip(error)
    return found


def stored_runs(output: Path, skip: Skip = tell_skipped) -> list[Path]:
    """The run folders of an output folder, oldest first."""
    return visible_folders(runs_folder(output), skip)


def stored_seeds(run: Path, skip: Skip = tell_skipped) -> list[Path]:
    """The seed folders of a run, in order of the seed."""
    found = []
    for path in entries(run, skip):
        if not _SEED.fullmatch(path.name):
            continue
        # The folder appears with its result in it.
        if (path / RESULT).is_file():
            found.append(path)
        else:
            skip(ContsymError(f"{path}: holds no {RESULT}; expected a seed that contsym stored"))
    return sorted(found, key=lambda p: int(p.name.removeprefix("seed-")))
