"""What a protocol or an option of a run needs of its scenario, strategy and encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contsym.data.tasks import TASKS
from contsym.errors import SettingError
from contsym.models.encoders import checkpoints
from contsym.models.encoders.nli_head import kind_of_head

if TYPE_CHECKING:
    from contsym.config import RunConfig
    from contsym.strategies.base import Strategy


def check_start(
    config: RunConfig, files: checkpoints.EncoderFiles, tasks: tuple[str, ...], strategy: type[Strategy]
) -> None:
    """Raise SettingError where protocol retrain cannot be done with these choices."""
    if len(tasks) < 2 or TASKS[tasks[0]].relational:
        raise SettingError(
            f"--protocol retrain: scenario {config.scenario} is {', '.join(tasks)}; expected an NLI task that "
            "the encoder knows before, and others after it, as mnli_then_wikidata"
        )
    if strategy.wants_head == "language_model":
        raise SettingError(
            f"--protocol retrain: {config.strategy} asks a language model and has no encoder to retrain; "
            "expected --protocol sequential"
        )
    kind = kind_of_head(files)
    if kind and config.pretrain:
        raise SettingError(
            f"--pretrain: encoder {files.name} has an NLI head already and is not pretrained; leave it out"
        )
    if kind == "joint" and checkpoints.read_config(files.folder).get("is_encoder_decoder"):
        raise SettingError(
            f"--protocol retrain: {files.name} is a sequence-to-sequence classifier, whose encoder alone is retrained; "
            "expected an encoder with an NLI head, or --protocol sequential"
        )
    if kind == "joint" and strategy.addons:
        raise SettingError(
            f"--strategy {config.strategy}: under --protocol retrain an add-on needs a head over two sentences, "
            f"and that of {files.name} reads them as one text; make an encoder with contsym pretrain"
        )


def check_relearning(
    config: RunConfig, files: checkpoints.EncoderFiles, tasks: tuple[str, ...], strategy: type[Strategy]
) -> None:
    """Raise SettingError where a run cannot learn its first task again by gradient steps."""
    if len(tasks) < 2:
        raise SettingError(
            f"--relearn: scenario {config.scenario} has one task, which nothing follows; leave it out"
        )
    if not strategy.trains:
        raise SettingError(
            f"--relearn: strategy {config.strategy} takes no gradient steps, so it cannot learn a task again; leave "
            "it out"
        )
    if config.protocol == "retrain" and kind_of_head(files) == "joint":
        raise SettingError(
            f"--relearn: under --protocol retrain it needs a head over two sentences, and that of {files.name} reads "
            "them as one text; make an encoder with contsym pretrain"
        )
