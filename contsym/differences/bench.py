"""Both checkpoints and all pairs while they are compared: each text is encoded once, each ability measured alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from contsym.data.schema import stable_hash
from contsym.differences.abilities import Features, Labels, answers_of, features_of_sentences
from contsym.differences.checkpoint import BLOCK, Advance, LoadedCheckpoint, Reading
from contsym.differences.schema import Measure
from contsym.differences.tasks import TaskPairs
from contsym.training.progress import Steps

if TYPE_CHECKING:
    from contsym.models.encoders.batching import Text

N_TEXTS = 1000
"""Texts whose states are compared; of more texts the seed draws them."""

Wanted = Sequence[tuple[str, Measure]]
Answers = dict[tuple[str, Measure], Labels | None]


@dataclass(frozen=True)
class Texts:
    """Distinct texts and what a checkpoint makes of them."""

    row_of: Mapping[Text, int]
    reading: Reading
    """`layers` are those of the first texts alone, the sample."""


@dataclass
class Bench:
    """OLD, NEW and the pairs of all tasks."""

    tasks: Mapping[str, TaskPairs]
    old: LoadedCheckpoint
    new: LoadedCheckpoint
    seed: int
    steps: Steps

    @cached_property
    def joint(self) -> bool:
        """Whether both sentences are read as one text: a joint head has learned to read no other."""
        return self.old.classifier is not None and self.new.classifier is not None

    @cached_property
    def texts(self) -> list[Text]:
        """All distinct texts in an order that the seed draws."""
        distinct = dict.fromkeys(text for task in self.tasks.values() for text in self._texts_of(task))
        return sorted(distinct, key=self._place)

    def _place(self, text: Text) -> int:
        return stable_hash(self.seed, *((text,) if isinstance(text, str) else text))

    @property
    def n_sampled(self) -> int:
        return min(N_TEXTS, len(self.texts))

    def _texts_of(self, task: TaskPairs, all_pairs: bool = True) -> list[Text]:
        """The texts of the pairs, or of the answered ones alone: premises, then hypotheses, or joint texts."""
        n = len(task.labels) if all_pairs else task.n
        if self.joint:
            return list(zip(task.premises[:n], task.hypotheses[:n], strict=True))
        return [*task.premises[:n], *task.hypotheses[:n]]

    def read(self, side: LoadedCheckpoint, title: str) -> Texts:
        """All texts, with the states of the sample."""
        sample, rest = self.texts[: self.n_sampled], self.texts[self.n_sampled :]
        self.steps.phase(f"{title}: encoding {len(self.texts):,} texts", n_blocks(sample) + n_blocks(rest))
        first = side.read(sample, self.steps.advance, joint=self.joint, layers=True)
        then = side.read(rest, self.steps.advance, joint=self.joint)
        logits = None
        if first.logits is not None:
            logits = torch.cat([first.logits, *([then.logits] if then.logits is not None else [])])
        reading = Reading(torch.cat([first.vectors, then.vectors]), logits, first.layers)
        return Texts({text: i for i, text in enumerate(self.texts)}, reading)

    def texts_for(self, wanted: Wanted) -> list[Text]:
        """The distinct texts that some abilities need."""
        found: dict[Text, None] = {}
        for name, measures in _by_task(wanted).items():
            found |= dict.fromkeys(self._texts_of(self.tasks[name], learns(measures)))
        return list(found)

    def measure(
        self, side: LoadedCheckpoint, texts: Texts, wanted: Wanted, advance: Advance = lambda: None
    ) -> Answers:
        """The answers of some abilities, given all their texts."""
        found: Answers = {}
        for name, measures in _by_task(wanted).items():
            features = self._features(side, texts, self.tasks[name], measures)
            for measure in measures:
                found[name, measure] = answers_of(self.tasks[name], features, self.seed, measure)
                advance()
        return found

    def _features(
        self, side: LoadedCheckpoint, texts: Texts, task: TaskPairs, measures: Sequence[Measure]
    ) -> Features:
        rows = torch.tensor([texts.row_of[text] for text in self._texts_of(task, learns(measures))])
        vectors, n, with_head = texts.reading.vectors[rows], task.n, "own head" in measures
        if self.joint:
            assert texts.reading.logits is not None
            return Features(vectors.numpy(), texts.reading.logits[rows[:n]])
        p, h = vectors.chunk(2)
        head = None
        if with_head and side.pair_head:
            head = side.head_scores(p[:n], h[:n])
        elif with_head and side.classifier:
            # The other checkpoint has no joint head, so the pairs have not been read yet.
            answered = list(zip(task.premises[:n], task.hypotheses[:n], strict=True))
            head = side.classifier.encode(answered)
        return Features(features_of_sentences(p, h), head)


def learns(measures: Sequence[Measure]) -> bool:
    """Whether a measure learns from pairs that are not answered."""
    return any(measure != "own head" for measure in measures)


def _by_task(wanted: Wanted) -> dict[str, list[Measure]]:
    found: dict[str, list[Measure]] = {}
    for name, measure in wanted:
        found.setdefault(name, []).append(measure)
    return found


def n_blocks(texts: Sequence[Text]) -> int:
    return -(-len(texts) // BLOCK)
