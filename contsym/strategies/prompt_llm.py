"""A large language model with a prompt: predicts the label whose word is likeliest after the prompt.

score(y) = log P(word of y | prompt), summed over the tokens of the word; `length_normalised` divides it by
their number; `calibrated` subtracts the score after an empty pair ("N/A" and "N/A"). Nothing is trained. With
`--set k=4`, four stored pairs with their answers precede the question: labels take turns, and within a
label the experiences, ordered by a hash of seed and id. The model is the run's `--encoder`, any causal or
sequence-to-sequence checkpoint. The first examples beyond its context are left out, with a note.
Source: Brown et al. 2020 (GPT-3, arXiv 2005.14165), section 2.4 and appendix G (its ANLI prompt is pattern
`question`); calibration of Zhao et al. 2021 (arXiv 2102.09690), section 4, as a difference of logarithms,
which ranks like their division. Yuan and Vlachos 2025 (arXiv 2504.16312) prompt large models like this.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, Literal

import torch
from datasets import Dataset
from pydantic import Field
from torch import Tensor, nn

from contsym.data.schema import stable_hash
from contsym.errors import EncoderError, SettingError
from contsym.models.encoders.checkpoints import EncoderFiles, language_model_kind, read_config
from contsym.models.encoders.language_models import LanguageModel, answer_tokens
from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.encoders.weights import load_tokenizer
from contsym.strategies.base import Strategy, TrainingSettings
from contsym.tasks.schema import NLI_LABELS

CARD = {
    "source": "Brown et al. 2020 (GPT-3, arXiv 2005.14165), section 2.4; Zhao et al. 2021 (calibration)",
    "trains": "nothing",
    "stores": "the k pairs in the prompt; nothing with k=0",
    "grows": "no",
    "family": "few-shot",
    "labels": "nli",
}

PATTERNS = {
    "question": "{premise}\nQuestion: {hypothesis} {entailment}, {contradiction} or {neutral}?\nAnswer:",
    "pair": "Premise: {premise}\nHypothesis: {hypothesis}\nAnswer:",
}
ANSWER = "Answer:"
"""The end of every prompt; the word follows after a space."""

BETWEEN = "\n\n"
NOTHING = "N/A"
"""Both sentences of the empty pair (Zhao et al. 2021)."""


class PromptLlm(Strategy):
    trains = False
    wants_head = "language_model"
    is_joint = True
    scoring_counts = ("prompts",)

    class Settings(TrainingSettings):
        k: int = Field(0, ge=0, le=256, description="stored pairs in the prompt, with their answers")
        pattern: Literal["question", "pair"] = Field("question", description="wording of the prompt")
        entailment: str = Field("True", min_length=1, description="the answer that means this label")
        neutral: str = Field("Neither", min_length=1, description="the answer that means this label")
        contradiction: str = Field("False", min_length=1, description="the answer that means this label")
        length_normalised: bool = Field(False, description="log-likelihood per token of the answer")
        calibrated: bool = Field(False, description="minus the log-likelihood after an empty pair")

    settings: Settings

    @classmethod
    def check(cls, files: EncoderFiles, settings: TrainingSettings) -> None:
        assert isinstance(settings, cls.Settings)
        config = read_config(files.folder)
        if language_model_kind(config) is None:
            names = ", ".join(map(str, config.get("architectures") or ["a model without a name"]))
            raise EncoderError(
                f"strategy prompt_llm: encoder {files.name} is {names}; expected a causal or "
                "sequence-to-sequence language model (...ForCausalLM, ...LMHeadModel, "
                "...ForConditionalGeneration): pass one with --encoder DIR or a Hub id"
            )
        answer_tokens(load_tokenizer(files.folder), words_of(settings), ANSWER)

    @classmethod
    def check_batches(cls, settings: TrainingSettings) -> None:
        assert isinstance(settings, cls.Settings)
        n, k = settings.batch_size, settings.k
        if k > n:
            raise SettingError(
                f"--set k={k}: with --one-pass or --until it is asked after each batch, at first of {n} pairs; expected "
                f"k of at most {n}, or --set batch_size={k}"
            )

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        assert isinstance(encoder, LanguageModel)
        self.language_model, self.words = encoder, words_of(self.settings)
        self.answers = answer_tokens(encoder.tokenizer, self.words, ANSWER)
        self.n_prompts = self.n_shortened = self.n_cut = self.most_left_out = 0
        return nn.Identity()

    @property
    def n_stored_bytes(self) -> int:
        return sum(len(f"{pair['premise']}{pair['hypothesis']}".encode()) for pair in self.examples())

    def score(self, pairs: Dataset) -> Tensor:
        examples = [
            self.question(**pair) + f" {self.words[NLI_LABELS[pair['label']]]}" for pair in self.examples()
        ]
        questions = [*map(self.question, pairs["premise"][:], pairs["hypothesis"][:])]
        scores = self.language_model.log_likelihoods(self.prompts(examples, questions), self.answers)
        if self.settings.calibrated:
            empty = self.prompts(examples, [self.question(NOTHING, NOTHING)])
            scores = scores - self.language_model.log_likelihoods(empty, self.answers)
        if self.settings.length_normalised:
            scores = scores / torch.tensor([len(answer) for answer in self.answers])
        return scores

    def question(self, premise: str, hypothesis: str, **_: object) -> str:
        """The question about one pair, without the answer."""
        texts = {"premise": premise.strip(), "hypothesis": hypothesis.strip()}
        return PATTERNS[self.settings.pattern].format(**texts, **self.words)

    def examples(self) -> list[Mapping[str, Any]]:
        """The k pairs of the prompt. Raises SettingError where fewer are stored."""
        stores = [*self.past, *([] if self.current is None else [self.current])]
        return draw_examples(stores, self.settings.k, self.seed)

    def stored_pairs(self) -> Sequence[Dataset]:
        drawn = draw_rows(self.past, self.settings.k, self.seed)
        return [
            pairs.select(sorted(row for of, row in drawn if of == place))
            for place, pairs in enumerate(self.past)
        ]

    def prompts(self, examples: Sequence[str], questions: Sequence[str]) -> list[str]:
        """Each question after as many of the last examples as fit; counts shortened prompts."""
        room = self.language_model.room(self.answers)
        prompt_of = dict.fromkeys(questions, "")
        waiting, n_left_out = list(prompt_of), 0
        while waiting:
            whole = [BETWEEN.join([*examples[n_left_out:], question]) for question in waiting]
            lengths = [len(ids) for ids in self.language_model.prompt_tokens(whole)]
            fits = [room is None or n <= room for n in lengths]
            is_last = n_left_out == len(examples)
            for question, prompt, is_fitting in zip(waiting, whole, fits, strict=True):
                if is_fitting or is_last:
                    prompt_of[question] = prompt
                    self.n_shortened += n_left_out > 0
                    self.n_cut += not is_fitting
                    self.most_left_out = max(self.most_left_out, n_left_out)
            waiting = [q for q, is_fitting in zip(waiting, fits, strict=True) if not (is_fitting or is_last)]
            n_left_out += 1
        self.n_prompts += len(prompt_of)
        return [prompt_of[question] for question in questions]

    def notes(self) -> list[str]:
        tokens, notes = self.language_model.context, []
        if self.n_shortened:
            notes.append(
                f"{self.n_shortened:,} of {self.n_prompts:,} prompts did not fit into the model's {tokens:,} tokens: "
                f"up to {self.most_left_out} of {self.settings.k} examples were left out from the front"
            )
        if self.n_cut:
            notes.append(
                f"{self.n_cut:,} of {self.n_prompts:,} prompts did not fit into the model's {tokens:,} tokens even "
                "without an example: their first tokens were cut"
            )
        return notes

    # The model never changes, so it is no part of the state.

    def state(self) -> dict[str, Tensor]:
        counts = (self.n_prompts, self.n_shortened, self.n_cut, self.most_left_out)
        return {"prompts": torch.tensor(counts)}

    def restore(self, state: Mapping[str, Tensor], past: Sequence[Dataset]) -> None:
        self.past[:] = past
        self.n_prompts, self.n_shortened, self.n_cut, self.most_left_out = state["prompts"].tolist()


def words_of(settings: PromptLlm.Settings) -> dict[str, str]:
    """The answer for each label, in the order of the labels."""
    return {label: str(getattr(settings, label)) for label in NLI_LABELS}


def draw_examples(stores: Sequence[Dataset], k: int, seed: int) -> list[Mapping[str, Any]]:
    """The pairs of `draw_rows`."""
    return [stores[place][row] for place, row in draw_rows(stores, k, seed)]


def draw_rows(stores: Sequence[Dataset], k: int, seed: int) -> list[tuple[int, int]]:
    """(store, row) of k stored pairs, evenly over labels and stores, in an order by hashes.

    Labels take turns, and within a label the stores; a hash of seed and id orders the pairs of a store, and the
    result. Raises SettingError where fewer than k are stored.
    """
    if k == 0:
        return []
    n_stored = sum(map(len, stores))
    if n_stored < k:
        raise SettingError(f"--set k={k}: {n_stored} pairs are stored; expected at most {n_stored}")
    by_label: dict[int, dict[int, list[tuple[int, int, int]]]] = defaultdict(lambda: defaultdict(list))
    for place, store in enumerate(stores):
        for row, (label, name) in enumerate(zip(store["label"][:], store["id"][:], strict=True)):
            by_label[label][place].append((stable_hash(seed, name), place, row))
    turns = [_in_turns([sorted(rows) for rows in by_label[label].values()]) for label in sorted(by_label)]
    return [(place, row) for _, place, row in sorted(_in_turns(turns)[:k])]


def _in_turns(groups: Sequence[list[tuple[int, int, int]]]) -> list[tuple[int, int, int]]:
    return [one for turn in zip_longest(*groups) for one in turn if one is not None]
