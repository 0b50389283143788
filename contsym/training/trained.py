"""A trained model: it predicts, shows its neighbours, takes in pairs, and is saved and loaded."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from contsym import checked, plugins
from contsym.data.joining import texts_of
from contsym.data.schema import rows_of, table
from contsym.errors import ContsymError, SettingError, first_line
from contsym.files import drop, home_path, write_whole
from contsym.machine import quiet_libraries
from contsym.models.encoders import checkpoints
from contsym.results.schema import FORMAT as RESULT_FORMAT
from contsym.results.schema import SeedResult
from contsym.tasks.schema import NLI_LABELS
from contsym.training.trained_file import (
    CARD,
    FORMAT,
    REMEDY,
    TENSORS,
    ModelFile,
    labelled_row,
    placed,
    read_file,
    read_pairs,
    table_rows,
    task_of,
    unlabelled_row,
    with_new_labels,
    write_file,
    write_pairs,
)
from contsym.training.trained_state import own_tensors, restore, untrained

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from datasets import Dataset
    from torch import Tensor

    from contsym.models.encoders.declared import Pooling
    from contsym.models.scores import ScoreKind
    from contsym.plugins import Plugins
    from contsym.strategies.base import Strategy
    from contsym.tasks.schema import Inputs
    from contsym.training.loop import SeedRun

HeadName = Literal["own", "known"]
"""own: the method predicts. known: the head of the task that the encoder knew before the run (protocol retrain)."""


class Scored(NamedTuple):
    """The scores of pairs, (pairs, labels) both; `probabilities` of a pair sum to 1."""

    labels: tuple[str, ...]
    scores: Tensor
    probabilities: np.ndarray
    kind: ScoreKind

    @property
    def best(self) -> list[str]:
        """The label with the largest score of each pair; of equal ones the first."""
        return [self.labels[i] for i in self.scores.argmax(dim=1).tolist()]


@dataclass(frozen=True)
class Neighbour:
    """A stored pair that voted for its label."""

    id: str
    premise: str
    hypothesis: str
    label: str
    distance: float


class TrainedModel:
    """A strategy after its run.

    >>> model = load("symmetric-minilm")                                                    # doctest: +SKIP
    >>> model.predict([("Spain borders Portugal", "Portugal borders Spain")])               # doctest: +SKIP
    ['entailment']
    """

    def __init__(
        self, strategy: Strategy, file: ModelFile, pooling: Pooling, classifier: Path | None = None
    ) -> None:
        self.strategy, self.file, self.pooling = strategy, file, pooling
        self.notes: list[str] = []
        """What a reader of its answers must know."""
        self._classifier = classifier
        """The checkpoint whose NLI head over joint texts is saved with the encoder; None where there is none."""

    @classmethod
    def of_run(cls, run: SeedRun, result: SeedResult) -> TrainedModel:
        """The model at the end of a run; it shares the run's weights."""
        plan, strategy = run.plan, run.strategy
        plugin = plan.plugins.find("strategy", plan.config.strategy)
        curves: dict[str, Any] = {"loss": [[] for _ in result.tasks], "trajectory": [], "view": None}
        known = strategy.model.known_head
        file = ModelFile.model_validate(
            {
                "format": FORMAT,
                "strategy": plan.config.strategy,
                "plugin": plugin.record() if plugin else None,
                "settings": result.settings,
                "labels": result.labels,
                "inputs": plan.scenario.inputs,
                "seed": strategy.seed,
                "precision": plan.precision,
                "n_experiences": len(strategy.past),
                "n_steps": strategy.n_steps,
                "n_added": 0,
                "known_head": None if known is None else "pair" if known is _pair_head(strategy) else "joint",
                "pooling": plan.pooling.facts().model_dump(),
                "seen": sorted({*plan.encoder.seen, *(task.task for task in plan.tasks)}),
                "result": result.model_copy(update=curves).model_dump(mode="json"),
            }
        )
        return cls(strategy, file, plan.pooling, _with_classifier(plan.encoder.folder))

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order of the scores."""
        return self.file.labels

    @property
    def result(self) -> SeedResult | None:
        """What the run measured, without its curves; None for one of another version of contsym."""
        made = self.file.result
        if made is None or made.get("format") != RESULT_FORMAT:
            return None
        return checked.check(SeedResult, made, Path(CARD))

    # -- Predicting. --

    def predict(self, pairs: Iterable[Any], *, head: HeadName = "own") -> list[str]:
        """The label of each pair.

        `pairs` are (premise, hypothesis) tuples, dicts with these names, or a table, as a DataFrame or a
        `datasets.Dataset`; for a model of single texts, the texts. Raises DataError for a pair that is none of these,
        and SettingError for a head that the model lacks.
        """
        return self.scores(pairs, head=head).best

    def scores(self, pairs: Iterable[Any], *, head: HeadName = "own") -> Scored:
        """The scores of each pair, and the probabilities that they stand for: of logits and negative distances the
        softmax, of votes their shares."""
        import torch

        from contsym.results.metrics.answers import probabilities

        labels, kind = self.labels, self.strategy.score_kind
        if head == "known":
            if self.file.known_head is None:
                raise SettingError(
                    "--head known: the model has no head of a known task, which a run with --protocol retrain has; "
                    "leave it out"
                )
            labels, kind = NLI_LABELS, "logits"
        elif head != "own":
            raise SettingError(f"--head {head}: expected own or known")
        data = self.dataset(pairs)
        with self._at_work():
            score = self.strategy.score if head == "own" else self.strategy.known_scores
            texts = texts_of(data)
            scores = (
                score(texts).float().cpu()[:, : len(labels)] if len(data) else torch.empty(0, len(labels))
            )
        return Scored(labels, scores, probabilities(scores.numpy(), kind), kind)

    def neighbours(self, pairs: Iterable[Any]) -> list[list[Neighbour]]:
        """The stored pairs that voted on each pair, the nearest first. Raises ContsymError where none vote."""
        from contsym.models.memory import LabelMemory

        index = getattr(self.strategy.memory, "index", None)
        if not isinstance(index, LabelMemory):
            raise ContsymError(
                f"{self.file.strategy} predicts by no neighbours; expected a model of a k-NN method, as knn_fixed"
            )
        data = self.dataset(pairs)
        if not len(data):
            return []
        with self._at_work():
            distances, rows = index.nearest_rows(self.strategy.model.outputs(data))
        stored = [part for part in self.strategy.stored_pairs() if len(part)]
        return [
            [self._neighbour(stored, row, distance) for row, distance in zip(voters, those, strict=True)]
            for voters, those in zip(rows.tolist(), distances.tolist(), strict=True)
        ]

    def _neighbour(self, stored: Sequence[Dataset], row: int, distance: float) -> Neighbour:
        for part in stored:
            if row < len(part):
                break
            row -= len(part)
        pair = part[row]
        texts = {name: pair[name] for name in ("id", "premise", "hypothesis")}
        return Neighbour(**texts, label=self.labels[pair["label"]], distance=distance)

    def dataset(self, pairs: Iterable[Any]) -> Dataset:
        """Pairs as a table, without their labels."""
        inputs = self.file.inputs
        rows = placed(_rows(pairs, inputs), with_label=False, inputs=inputs)
        return table(unlabelled_row(row, where, self.file.task) for where, row in rows)

    # -- Learning without a gradient step. --

    def add(self, pairs: Iterable[Any], *, new_labels: str | Iterable[str] = ()) -> int:
        """Learn labelled pairs without a gradient step, as one more experience; gives their number.

        `pairs` are (premise, hypothesis, label) tuples, dicts with these names and perhaps `id` and `relation`, or a
        table. A label that the model does not know must be one of `new_labels`; one needs no list. Raises ContsymError for
        a method that learns by gradient steps, and DataError for a wrong pair; the model is then as it was.
        """
        if not self.strategy.takes_pairs:
            raise ContsymError(
                f"{self.file.strategy} learns by gradient steps, and a saved model takes none; expected a k-NN, "
                "prototype or closed-form method, as knn_fixed, protonet or ridge"
            )
        labels = with_new_labels(self.labels, new_labels)
        task = task_of(labels, self.file.inputs)
        rows = placed(_rows(pairs, self.file.inputs), with_label=True, inputs=task.inputs)
        data = table(labelled_row(row, where, task) for where, row in rows)
        if not len(data):
            raise ContsymError("no pairs to add; expected at least one")
        with self._at_work():
            if len(labels) > len(self.labels):
                self.strategy.add_labels(len(labels))
            self.strategy.add(data)
        changes = {"labels": labels, "n_added": self.file.n_added + len(data)}
        self.file = self.file.model_copy(update={**changes, "n_experiences": len(self.strategy.past)})
        return len(data)

    # -- Files. --

    def save(self, folder: str | Path, *, replace: bool = False) -> Path:
        """Write the model as a folder, atomically; it is also an `--encoder`.

        transformers and sentence-transformers read its encoder; nothing is pickled. Raises ContsymError where the
        folder is there already, unless it is to be replaced, and where it cannot be written.
        """
        from contsym.training.trained_hub import is_of_a_model

        folder = home_path(folder)
        before = Path(f"{folder.absolute()}.before")
        if folder.exists() and not replace:
            raise ContsymError(f"{folder}: is there already; expected a new folder")
        if folder.exists() and not (folder / CARD).is_file():
            raise ContsymError(
                f"{folder}: is there, and is no saved model; expected one to replace, or a new folder"
            )
        if before.exists():
            raise ContsymError(
                f"{before}: is there, as after a change that was interrupted; compare it with {folder}, and move it away"
            )
        new = Path(f"{folder.absolute()}.{secrets.token_hex(4)}")
        try:
            if not folder.exists():
                write_whole(folder, self.fill)
                return folder
            write_whole(new, self.fill)
            # Whenever it ends in between, one of the two is whole.
            folder.rename(before)
            new.rename(folder)
            for path in before.iterdir():
                # What no model writes stays, as a card, a licence or .git.
                if not is_of_a_model(path.name) and not (folder / path.name).exists():
                    path.rename(folder / path.name)
            drop(before)
        except OSError as error:
            raise ContsymError(f"{folder}: cannot be written ({error.strerror or error})") from None
        finally:
            drop(new)
        return folder

    def fill(self, folder: Path, file: ModelFile | None = None) -> None:
        """Write the model's files into an empty folder; `file` replaces what is told of it."""
        from safetensors.torch import save_file

        from contsym.models.encoders.saved import save_encoder

        strategy = self.strategy
        encoder: Any = strategy.model.encoder
        if (
            strategy.wants_head == "nli"
            and encoder.nli_head is not None
            and strategy.model.known_head is None
        ):
            # It was trained with the encoder; as the known head it would be frozen.
            encoder.nli_head = strategy.model.head.state_dict()
        save_encoder(folder, strategy.model.encoder, self.pooling, transformer=self._headed())
        own = own_tensors(strategy)
        save_file({name: t.contiguous() for name, t in own.items()}, folder / TENSORS)
        write_pairs(folder, strategy.stored_pairs(), self.labels)
        write_file(folder, file or self.file)

    def _headed(self) -> Any:
        """The transformer with the NLI head of its checkpoint; None where the encoder is as it is saved."""
        from contsym.models.encoders.pooled import NliClassifier

        encoder: Any = self.strategy.model.encoder
        known: Any = self.strategy.model.known_head
        if self._classifier is None or isinstance(encoder, NliClassifier):
            return None
        if self.file.known_head == "joint":
            return known.transformer
        head: Any = NliClassifier.from_folder(self._classifier).transformer
        body = (
            encoder.transformer.get_base_model()
            if hasattr(encoder.transformer, "get_base_model")
            else encoder.transformer
        )
        setattr(head, head.base_model_prefix, body)
        return head

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """torch as in a run; afterwards as it was."""
        from contsym.models.encoders.device import deterministic

        with deterministic(self.strategy.device):
            yield


def _rows(pairs: Iterable[Any], inputs: Inputs) -> Iterable[Any]:
    """Examples from Python, a dataset read in batches."""
    expected = "pairs, as [(premise, hypothesis)]" if inputs == "pair" else "texts"
    if isinstance(pairs, str):
        raise ContsymError(f"{pairs[:60]!r} is one text; expected a list of {expected}")
    if hasattr(pairs, "iter") and hasattr(pairs, "column_names"):
        return rows_of(pairs)
    if (rows := table_rows(pairs)) is not None:
        return rows
    # Iterating a dict would give its keys.
    if isinstance(pairs, Mapping) or not isinstance(pairs, Iterable):
        raise ContsymError(f"{type(pairs).__name__}; expected a list of {expected}, or a table of them")
    return pairs


def _with_classifier(folder: Path) -> Path | None:
    return None if checkpoints.nli_labels(checkpoints.read_config(folder)) is None else folder


def _pair_head(strategy: Strategy) -> Any:
    from contsym.models.heads import PairClassifier

    known = strategy.model.known_head
    return known if isinstance(known, PairClassifier) else None


def load(
    folder: str | Path,
    *,
    device: str = "auto",
    precision: str | None = None,
    plugins_of: Plugins = plugins.INSTALLED,
) -> TrainedModel:
    """A saved model from its folder; none of its files is run.

    `precision` None: that of its run, in which it predicts the same to the bit on a machine of the same kind. The file
    of a strategy that is not contsym's own must be among the plug-ins. Raises ContsymError for a folder that is no
    saved model.
    """
    from contsym.models.encoders.device import choose_device, choose_precision, deterministic

    folder = home_path(folder)
    file = read_file(folder)
    quiet_libraries()
    chosen, asked = choose_device(device), file.precision if precision is None else precision
    with deterministic(chosen):
        strategy, pooling = untrained(folder, file, chosen, choose_precision(asked, chosen), plugins_of)
        stored, own = read_pairs(folder, file), checked.read_tensors(folder / TENSORS, remedy=REMEDY)
        try:
            restore(strategy, folder, file, own, stored)
        except ContsymError:
            raise
        # Tensors of a damaged file may fail anywhere in a method.
        except Exception as error:
            raise ContsymError(
                f"{folder}: {TENSORS} does not fit {CARD} ({type(error).__name__}: {first_line(error, 160)}); {REMEDY}"
            ) from error
    model = TrainedModel(strategy, file, pooling, _with_classifier(folder))
    plugin = plugins_of.find("strategy", file.strategy)
    if plugin and file.plugin and plugin.sha256 != file.plugin.sha256:
        model.notes.append(
            f"the plug-in {plugin.origin} has changed since the model was saved; its scores may be others"
        )
    if (file.result or {}).get("label_space") == "per_task":
        model.notes.append(
            "in its run the task of an example was given, and only that task's labels were answered; here all labels are"
        )
    return model
