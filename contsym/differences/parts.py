"""Where two checkpoints differ: parts that have the same weights in both, and how far weights and states moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from contsym.differences import schema
from contsym.differences.bench import Texts
from contsym.differences.checkpoint import LoadedCheckpoint, Weights
from contsym.differences.geometry import Rows, cka_distance, cosine_drift, neighbours_lost, relative_distance
from contsym.differences.part_names import EMBEDDINGS, HEAD, VECTORS
from contsym.differences.schema import Part


@dataclass(frozen=True)
class Fitting:
    """Parts of OLD that NEW could have, because names and shapes of their weights are equal."""

    old: Weights
    new: Weights
    same_architecture: bool
    """Whether every layer fits, so that directions of their states can be compared."""

    @property
    def names(self) -> list[str]:
        return list(self.new)

    def distance(self, part: str) -> float | None:
        old, new = self.old[part], self.new[part]
        return relative_distance((_array(old[name]), _array(new[name])) for name in old)

    def tensors(self, part: str) -> tuple[schema.Tensor, ...]:
        """The weights of a part one by one."""
        return tuple(
            schema.Tensor(
                name=name, weights=relative_distance([(_array(tensor), _array(self.new[part][name]))])
            )
            for name, tensor in self.old[part].items()
        )


def _array(tensor: Tensor) -> Rows:
    return tensor.detach().float().cpu().numpy()


def fitting_parts(old: LoadedCheckpoint, new: LoadedCheckpoint) -> tuple[Fitting, list[str]]:
    """The parts that fit, and one line for what does not."""
    before, after = old.parts(), new.parts()
    layers = [{part for part in parts if "layer" in part} for parts in (before, after)]
    is_same = (
        old.facts.architecture == new.facts.architecture
        and layers[0] == layers[1]
        and all(_fits(before[part], after[part]) for part in layers[0])
    )
    if not is_same:
        return Fitting({}, {}, False), [unlike_note(old.facts, new.facts)]
    notes, fitting = [], []
    for part in dict.fromkeys([*before, *after]):
        if part not in before or part not in after:
            lacking, other = ("OLD", "NEW") if part not in before else ("NEW", "OLD")
            what = f"only {other} has an NLI head" if part == HEAD else f"{lacking} has none"
            notes.append(f"{part}: {what}, so it is neither compared nor put back")
        elif not _fits(before[part], after[part]):
            notes.append(f"{part}: of another kind or size in NEW, so it is neither compared nor put back")
        elif part == EMBEDDINGS and not _same_words(old, new):
            notes.append(f"{part}: rows of different tokens, so they are neither compared nor put back")
        else:
            fitting.append(part)
    own = [{part: parts[part] for part in fitting} for parts in (before, after)]
    return Fitting(own[0], own[1], True), notes


def unlike_note(old: schema.Checkpoint, new: schema.Checkpoint) -> str:
    """Why no weights are compared."""
    if old.architecture != new.architecture:
        sides = [f"{f.architecture} with {f.n_layers} layers and {f.dim} dimensions" for f in (old, new)]
        unlike, like = f"OLD is {sides[0]}, NEW {sides[1]}", "within one architecture"
    else:
        like = "between layers of the same number and size"
        if old.n_layers != new.n_layers:
            unlike = f"OLD has {old.n_layers} layers, NEW {new.n_layers}"
        elif old.dim != new.dim:
            unlike = f"OLD has {old.dim} dimensions, NEW {new.dim}"
        else:
            unlike = "the weights of OLD's layers have other names or sizes than NEW's"
    return f"{unlike}: weights and directions are compared only {like}, and no part is put back"


def _fits(old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> bool:
    return {name: t.shape for name, t in old.items()} == {name: t.shape for name, t in new.items()}


def _same_words(old: LoadedCheckpoint, new: LoadedCheckpoint) -> bool:
    return old.encoder.tokenizer.get_vocab() == new.encoder.tokenizer.get_vocab()


def compare_parts(fitting: Fitting, old: Texts, new: Texts) -> tuple[tuple[Part, ...], list[str]]:
    """Every part with its weights, and the states that it gives of the sampled texts; one line for what is left out."""
    before, after = old.reading, new.reading
    states: dict[str, tuple[Rows, Rows]] = {}
    notes = []
    if len(before.layers) == len(after.layers):
        names = [EMBEDDINGS, *(f"layer {i}" for i in range(1, len(before.layers)))]
        columns = zip(before.layers, after.layers, strict=True)
        states = {name: (x.numpy(), y.numpy()) for name, (x, y) in zip(names, columns, strict=True)}
    else:
        counts = f"{len(before.layers) - 1} and {len(after.layers) - 1}"
        notes.append(f"{counts} layers: only the vectors are compared, not the states of each layer")
    n = len(before.layers[0])
    states[VECTORS] = before.vectors[:n].numpy(), after.vectors[:n].numpy()
    unmoved = [name for name in fitting.names if name not in states and name != HEAD]
    order = [name for name in states if name != VECTORS]
    order += [*unmoved, VECTORS, *([HEAD] if HEAD in fitting.names else [])]
    return tuple(_part(name, fitting, states.get(name)) for name in order), notes


def _part(name: str, fitting: Fitting, states: tuple[Rows, Rows] | None) -> Part:
    has_weights = name in fitting.names
    has_directions = fitting.same_architecture and states is not None and states[0].shape == states[1].shape
    return Part(
        name=name,
        weights=fitting.distance(name) if has_weights else None,
        cka_distance=None if states is None else cka_distance(*states),
        drift=cosine_drift(*states) if states and has_directions else None,
        neighbours_lost=None if states is None else neighbours_lost(*states),
        tensors=fitting.tensors(name) if has_weights else (),
    )
