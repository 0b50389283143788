"""`contsym.load_model`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.config import DEFAULT_OUTPUT, several
from contsym.files import home_path

if TYPE_CHECKING:
    from contsym.training.trained import TrainedModel


def load_model(
    name: str | Path,
    *,
    seed: int | None = None,
    output: str | Path = DEFAULT_OUTPUT,
    plugins: str | Path | Iterable[str | Path] = (),
    device: str = "auto",
    precision: str | None = None,
) -> TrainedModel:
    """A saved model: its folder, a run in `output` with saved models, or OWNER/NAME of the Hub. None of its files is run.

    Args:
        seed: Of a run with several models.
        plugins: The file of a strategy that is not contsym's own, or several.
        precision: None: that of its run, in which it predicts the same to the bit on a machine of the same kind.

    Raises ContsymError where there is no model, or it cannot be used here.
    """
    from contsym.plugins import read
    from contsym.sweeps.find import find_model
    from contsym.training.trained import load as load_folder

    folder = find_model(os.path.expanduser(name), home_path(output), seed)
    return load_folder(folder, device=device, precision=precision, plugins_of=read(several(plugins)))
