"""What a method has beside its encoder, taken out for a saved model and put back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contsym import checked
from contsym.errors import ContsymError, first_line
from contsym.models.encoders import checkpoints
from contsym.models.encoders.nli_head import NLI_HEAD, read_head
from contsym.models.encoders.resolve import head_of, with_pooling
from contsym.training.known_task import KnownTask
from contsym.training.trained_file import CARD, REMEDY, TENSORS, ModelFile

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

    from contsym.models.encoders.declared import Pooling
    from contsym.plugins import Plugins
    from contsym.strategies.base import Strategy

ENCODER, KNOWN, VECTORS = "model.encoder.", "model.known_head.", "vectors."


def own_tensors(strategy: Strategy) -> dict[str, Tensor]:
    """What the method has beside its encoder, on the CPU."""
    encoder = {id(t) for t in strategy.model.encoder.state_dict(keep_vars=True).values()}
    shared = {
        f"model.{name}" for name, t in strategy.model.state_dict(keep_vars=True).items() if id(t) in encoder
    }
    own = {
        name: t for name, t in strategy.state().items() if name not in shared and not name.startswith(ENCODER)
    }
    vectors = strategy.memory.vectors() if strategy.memory else {}
    return own | {f"{VECTORS}{name}": t for name, t in vectors.items()}


def untrained(
    folder: Path, file: ModelFile, device: str, precision: Any, named: Plugins
) -> tuple[Strategy, Pooling]:
    """The method as it begins, over the saved encoder."""
    from pydantic import ValidationError

    from contsym.models.encoders.load import load as load_encoder
    from contsym.strategies.catalog import load_strategy

    if file.plugin and named.find("strategy", file.strategy) is None:
        raise ContsymError(
            f"{folder}: its strategy {file.strategy} is the plug-in {file.plugin.origin}, which is not here; give its "
            "file with --plugin FILE"
        )
    method = load_strategy(file.strategy, named)
    try:
        settings = method.Settings.model_validate(file.settings)
    except ValidationError as error:
        raise ContsymError(
            f"{folder / CARD}: settings of another {file.strategy} ({first_line(error)}); {REMEDY}"
        ) from None
    files = with_pooling(checkpoints.locate(str(folder.absolute())))
    method.check(files, settings)
    encoder = load_encoder(files, head=head_of(files, method.wants_head))
    if (folder / NLI_HEAD).is_file():
        encoder.nli_head = read_head(folder)
    encoder.precision = precision
    known = None
    if file.known_head:
        tensors = checked.read_tensors(folder / TENSORS, remedy=REMEDY)
        head = {name.removeprefix(KNOWN): t for name, t in tensors.items() if name.startswith(KNOWN)}
        known = KnownTask("", None, head if file.known_head == "pair" else None).install(
            encoder, files.folder
        )
    strategy = method(
        encoder=encoder,
        settings=settings,
        labels=file.labels,
        inputs=file.inputs,
        seed=file.seed,
        device=device,
        known_head=known,
    )
    assert files.pooling is not None
    return strategy, files.pooling


def restore(
    strategy: Strategy, folder: Path, file: ModelFile, own: dict[str, Tensor], stored: Sequence[Dataset]
) -> None:
    """Put the saved tensors and pairs into an untrained method, so that it can score at once."""
    from contsym.models.encoders.saved import read_adapters
    from contsym.models.pair_model import under

    roots = [f"{ENCODER}transformer.base_model.model."]
    if file.known_head == "joint":
        known: Any = strategy.model.known_head
        roots.append(f"{KNOWN}transformer.{known.transformer.base_model_prefix}.")
    adapters = read_adapters(folder)
    # The encoder and what shares its weights is loaded; adapters and the method's own tensors replace what is new.
    state = {f"model.{name}": t for name, t in strategy.model.state_dict().items()}
    state |= {f"{root}{name}": t for root in roots for name, t in adapters.items()} | own
    strategy.restore(state, stored)
    strategy.n_steps = file.n_steps
    strategy.model.eval()
    if strategy.memory:
        strategy.memory.put_back(under(VECTORS, own), strategy.past, file.n_steps)
    strategy.refresh()
